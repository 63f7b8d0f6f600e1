"""What an importer gives back, in the form that `add_many` of the SDK takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

Format = Literal["mem0", "graphiti", "letta", "langgraph", "chatgpt", "claude"]
Role = Literal["user", "assistant", "system", "tool"]
TextKind = Literal["fact", "summary", "preference", "procedure", "concept", "core", "document"]

# Why something of an export is not imported. They are shown to people and are keys of `ImportReport.skipped`.
NO_TEXT: Final = "no text"
TOO_LONG: Final = "longer than the service takes"
IMAGE: Final = "image"
SOUND: Final = "sound or video"
FILE: Final = "file whose text is not in the export"
TOOL: Final = "tool call or result"
REASONING: Final = "reasoning of the model"
HIDDEN: Final = "hidden from the conversation"
SYSTEM: Final = "system prompt or event"
OTHER_BRANCH: Final = "on another branch of the conversation"
DELETED: Final = "deleted in the source"
DERIVED: Final = "made by the source itself"
UNKNOWN: Final = "of a kind that is not known"
REPEATED: Final = "repeated in the export"
FUTURE: Final = "dated in the future"
OTHER_FILE: Final = "file in the archive that is not part of the export's memory"


@dataclass(frozen=True, slots=True)
class ImportedItem:
    """One thing to remember: `fields` are those of a message (with a `role`) or of a text.

    `fields["metadata"]` always has `source`, and `source_id` where the source has ids. `fields["id"]` is absent when
    the source gives the item none. `metadata.repaired` is true where characters that cannot be stored were replaced.
    """

    session: str | None
    fields: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Skipped:
    """One thing that is not imported, and why."""

    reason: str


Outcome = ImportedItem | Skipped


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How many items there are, what was left out by reason, and how many items were repaired to be storable."""

    items: int
    skipped: Mapping[str, int]
    repaired: int
