"""ChatGPT: `conversations.json` of a data export, or `conversations-000.json` and so on of a large one.

A list of conversations: `id`, `title`, `create_time`, `current_node` and `mapping`, a tree of nodes with `parent` and
`message`; a message has `author.role`, `content.content_type`, `content.parts`, `create_time` (Unix seconds),
`recipient`. OpenAI publishes no schema. Sources, all by others: portable-ai-memory.org/providers/openai,
whychose.com/seo/chatgpt-conversations-json-format, difegam.github.io/chatgpt-to-markdown/reference/data-models.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from memsvc.importers.draft import Draft
from memsvc.importers.model import (
    FILE,
    HIDDEN,
    IMAGE,
    NO_TEXT,
    OTHER_BRANCH,
    REASONING,
    SOUND,
    TOOL,
    UNKNOWN,
    ImportedItem,
    Outcome,
    Role,
    Skipped,
)
from memsvc.importers.record import Record, instant, malformed, records_of, sample

ROLES: Final[Mapping[str, Role]] = {"user": "user", "assistant": "assistant", "system": "system"}
REASONING_TYPES: Final = frozenset({"thoughts", "reasoning_recap"})
MEMORY_TOOL: Final = "bio"  # what ChatGPT tells this recipient is what it has been asked to remember
PARTS: Final[Mapping[str, str]] = {
    "image_asset_pointer": IMAGE,
    "audio_asset_pointer": SOUND,
    "video_container_asset_pointer": SOUND,
    "real_time_user_audio_video_asset_pointer": SOUND,
}


@dataclass(frozen=True, slots=True)
class _Node:
    parent: str | None
    message: Record | None


@dataclass(frozen=True, slots=True)
class _Setting:
    """What the conversation says of its messages."""

    session: str | None
    title: str | None
    time: str | None


def matches(document: object) -> bool:
    """Whether it looks like conversations of ChatGPT."""
    entries = [document] if isinstance(document, dict) and "mapping" in document else sample(document, "conversations")
    return any(isinstance(entry.get("mapping"), dict) for entry in entries)


def read(document: object) -> Iterator[Outcome]:
    """The active branch of each conversation; what is on others is skipped and counted."""
    if isinstance(document, dict) and "mapping" in document:
        document = [document]
    elif isinstance(document, dict):
        document = document.get("conversations")
    for conversation in records_of(document, "conversations"):
        yield from _conversation(conversation)


def _conversation(conversation: Record) -> Iterator[Outcome]:
    mapping = conversation.record("mapping")
    if mapping is None:
        raise malformed(conversation.at("mapping"), "is missing; it holds the messages")
    nodes: dict[str, _Node] = {}
    for key in mapping.fields:
        node = mapping.record(key)
        if node is not None:
            nodes[key] = _Node(node.label("parent"), node.record("message"))
    path = _active_path(conversation, nodes)
    setting = _Setting(
        session=conversation.first_label("conversation_id", "id"),
        title=conversation.label("title"),
        time=conversation.time("create_time"),
    )
    time = setting.time
    for key in path:
        message = nodes[key].message
        if message is not None:
            # Some messages have no time of their own: they were said right after the one before.
            time = message.time("create_time") or time
            yield from _message(message, key, setting, time)
    active = set(path)
    for key, other in nodes.items():
        if key not in active and other.message is not None:
            for outcome in _message(other.message, key, setting, None):
                yield Skipped(OTHER_BRANCH) if isinstance(outcome, ImportedItem) else outcome


def _active_path(conversation: Record, nodes: Mapping[str, _Node]) -> list[str]:
    """Keys from the root to `current_node`, or to the newest leaf when the export names no current one."""
    key = conversation.label("current_node")
    if key is None:
        key = _newest_leaf(conversation, nodes)
    elif key not in nodes:
        raise malformed(conversation.at("current_node"), "names no entry of `mapping`")
    path: list[str] = []
    seen: set[str] = set()
    while key is not None and key in nodes:
        if key in seen:
            raise malformed(conversation.at("mapping"), f"has a circle: {key} is its own ancestor")
        seen.add(key)
        path.append(key)
        key = nodes[key].parent
    return path[::-1]


def _newest_leaf(conversation: Record, nodes: Mapping[str, _Node]) -> str | None:
    parents = {node.parent for node in nodes.values()}
    leaves = [key for key in nodes if key not in parents]
    if nodes and not leaves:
        raise malformed(conversation.at("mapping"), "has no last message: every entry has a reply")

    def time_of(key: str) -> str:
        message = nodes[key].message
        return (None if message is None else message.time("create_time")) or "0001-01-01"

    # Of leaves of one time the last in the file, as the file is in the order of writing.
    return max(enumerate(leaves), key=lambda leaf: (instant(time_of(leaf[1])), leaf[0]))[1] if leaves else None


def _message(message: Record, key: str, setting: _Setting, time: str | None) -> Iterator[Outcome]:
    content = message.record("content")
    if content is None:
        yield Skipped(NO_TEXT)
        return
    kind = content.label("content_type") or "text"
    if kind in {"user_editable_context", "model_editable_context"}:
        yield from _instructions(message, content)
        return
    reason = _reason_to_skip(message, kind)
    if reason is not None:
        yield Skipped(reason)
        return
    texts, media = _texts(content)
    media += _files(message)
    yield from media
    if not texts:
        if not media:
            yield Skipped(NO_TEXT)
        return
    remembered = message.label("recipient") == MEMORY_TOOL
    metadata = message.record("metadata")
    yield Draft(
        source="chatgpt",
        source_id=message.label("id") or key,
        content="\n".join(texts),
        role=None if remembered else _role(message),
        session=setting.session,
        timestamp=time,
        extra={
            "conversation_id": setting.session,
            "title": setting.title,
            "model": None if metadata is None else metadata.label("model_slug"),
        },
    ).finish()


def _role(message: Record) -> Role | None:
    author = message.record("author")
    return ROLES.get("" if author is None else author.label("role") or "")


def _reason_to_skip(message: Record, kind: str) -> str | None:
    author = message.record("author")
    metadata = message.record("metadata")
    if kind in REASONING_TYPES:
        return REASONING
    if metadata is not None and metadata.fields.get("is_visually_hidden_from_conversation") is True:
        return HIDDEN
    if author is not None and author.label("role") == "tool":
        return TOOL
    if message.label("recipient") not in {None, "all", MEMORY_TOOL}:
        return TOOL
    return None if _role(message) is not None else UNKNOWN


def _texts(content: Record) -> tuple[list[str], list[Skipped]]:
    """What a content says, and the parts that say nothing in words."""
    parts = content.fields.get("parts")
    if parts is None:
        text = content.text("text")
        return ([] if text is None else [text]), []
    if not isinstance(parts, list):
        raise malformed(content.at("parts"), "must be a list")
    texts: list[str] = []
    media: list[Skipped] = []
    for index, part in enumerate(parts):
        if isinstance(part, str):
            texts += [part] if part.strip() else []
        elif isinstance(part, dict):
            said = part.get("text")
            if isinstance(said, str) and said.strip():
                texts.append(said)  # the transcript of what was spoken
            else:
                media.append(Skipped(PARTS.get(str(part.get("content_type")), UNKNOWN)))
        elif part is not None:
            raise malformed(f"{content.at('parts')}[{index}]", "must be text or an object")
    return texts, media


def _files(message: Record) -> list[Skipped]:
    """Uploads: the export names them; images among them are parts of the content as well and count there."""
    metadata = message.record("metadata")
    if metadata is None:
        return []
    kinds = [str(file.fields.get("mime_type", file.fields.get("mimeType"))) for file in metadata.records("attachments")]
    return [Skipped(FILE) for kind in kinds if not kind.startswith("image/")]


def _instructions(message: Record, content: Record) -> Iterator[Outcome]:
    """Custom instructions and the list of memories: in every conversation the same, so they belong to none.

    The metadata have the instructions as the person wrote them; the content puts words for the model around them.
    """
    metadata = message.record("metadata")
    written = None if metadata is None else metadata.record("user_context_message_data")
    told = {} if written is None else written.fields
    for kind, label, text in (
        ("preference", "about_user", told.get("about_user_message") or content.text("user_profile")),
        ("preference", "about_model", told.get("about_model_message") or content.text("user_instructions")),
        ("summary", "model_set_context", content.text("model_set_context")),
    ):
        if isinstance(text, str) and text.strip():
            yield Draft(
                source="chatgpt",
                source_id=label,
                content=text,
                kind="summary" if kind == "summary" else "preference",
                extra={"about": label},
            ).finish()
