"""The commands of the command line, by subject; `memsvc.cli` puts them together."""
