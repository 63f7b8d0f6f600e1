"""Instructions to a language model, as data: `<name>.v<version>.md`. One that changes takes a new version."""
