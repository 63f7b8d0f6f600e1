"""Claude: `conversations.json` of a data export, and its memories and projects.

A conversation has `uuid`, `name`, `created_at` and `chat_messages`; a message `uuid`, `sender` (human or assistant),
`text`, `content` (blocks with a `type`), `created_at`, `attachments` with `extracted_content`, `files`. Memories have
`conversations_memory`, `project_memories`, `memory_files`; projects `name`, `description`, `prompt_template`, `docs`.
Anthropic publishes no schema. Source, by others: portable-ai-memory.org/providers/anthropic.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from memsvc.importers.draft import Draft
from memsvc.importers.model import (
    DERIVED,
    FILE,
    IMAGE,
    NO_TEXT,
    OTHER_BRANCH,
    REASONING,
    TOOL,
    UNKNOWN,
    ImportedItem,
    Outcome,
    Role,
    Skipped,
    TextKind,
)
from memsvc.importers.record import Record, malformed, records_of, sample

ROLES: Final[Mapping[str, Role]] = {"human": "user", "user": "user", "assistant": "assistant", "system": "system"}
MEMORY_KEYS: Final = frozenset({"conversations_memory", "project_memories", "memory_files"})
PROJECT_KEYS: Final = frozenset({"prompt_template", "docs", "is_starter_project"})
SKIPPED_BLOCKS: Final[Mapping[str, str]] = {
    "thinking": REASONING,
    "redacted_thinking": REASONING,
    "tool_use": TOOL,
    "tool_result": TOOL,
    "image": IMAGE,
}
EMPTY_BLOCKS: Final = frozenset({"token_budget", "flag"})


def matches(document: object) -> bool:
    """Whether it looks like a file of Claude's export."""
    entries = sample(document, "conversations")
    if isinstance(document, dict) and "conversations" not in document:
        entries = [document]
    return any(_is_known(entry) for entry in entries)


def read(document: object) -> Iterator[Outcome]:
    """Conversations as messages with their attachments as documents; memories as summaries; projects as texts."""
    if isinstance(document, dict):
        document = document.get("conversations", [document])
    for record in records_of(document, "conversations"):
        if "chat_messages" in record.fields:
            yield from _conversation(record)
        elif MEMORY_KEYS & record.fields.keys():
            yield from _memory(record)
        elif PROJECT_KEYS & record.fields.keys():
            yield from _project(record)
        else:
            raise malformed(record.at("chat_messages"), "is missing; it holds the messages")


def _is_known(entry: Mapping[str, object]) -> bool:
    is_project = "name" in entry and len(PROJECT_KEYS & entry.keys()) > 1
    return isinstance(entry.get("chat_messages"), list) or bool(MEMORY_KEYS & entry.keys()) or is_project


def _conversation(conversation: Record) -> Iterator[Outcome]:
    messages = list(conversation.records("chat_messages"))
    abandoned = _abandoned(conversation, messages)
    project = conversation.record("project")
    extra = {
        "conversation_id": conversation.label("uuid"),
        "title": conversation.label("name"),
        "project": None if project is None else project.label("name"),
    }
    if conversation.text("summary") is not None:
        yield Skipped(DERIVED)
    for message in messages:
        for outcome in _message(message, conversation, extra):
            left = isinstance(outcome, ImportedItem) and message.label("uuid") in abandoned
            yield Skipped(OTHER_BRANCH) if left else outcome


def _abandoned(conversation: Record, messages: list[Record]) -> set[str]:
    """Ids of messages that were edited or asked again: those beside the path to the last message.

    Exports list every branch, and most name no current one: the newest message is on it.
    """
    parents: dict[str, str | None] = {}
    for message in messages:
        uuid = message.label("uuid")
        if uuid is None:
            return set()
        parents[uuid] = message.label("parent_message_uuid")
    replied = [parent for parent in parents.values() if parent is not None]
    if not parents or len(replied) < len(parents) or len(replied) == len(set(replied)):
        return set()
    key = conversation.label("current_leaf_message_uuid")
    if key not in parents:
        key = list(parents)[-1]
    path: set[str] = set()
    while key is not None and key in parents:
        if key in path:
            raise malformed(conversation.at("chat_messages"), f"has a circle: {key} is its own ancestor")
        path.add(key)
        key = parents[key]
    return parents.keys() - path


def _message(message: Record, conversation: Record, extra: Mapping[str, object]) -> Iterator[Outcome]:
    session = conversation.label("uuid")
    uuid = message.label("uuid")
    role = ROLES.get(message.label("sender") or "")
    time = message.time("created_at") or conversation.time("created_at")
    attachments = list(message.records("attachments"))
    texts, skipped = _blocks(message)
    skipped += [Skipped(FILE) for _ in message.records("files")]
    yield from skipped
    if role is None:
        yield Skipped(UNKNOWN)
    elif texts:
        yield Draft(
            source="claude",
            source_id=uuid,
            content="\n\n".join(texts),
            role=role,
            session=session,
            timestamp=time,
            extra=extra,
        ).finish()
    elif not skipped and not attachments:
        yield Skipped(NO_TEXT)
    for number, attachment in enumerate(attachments):
        # What is pasted into the prompt becomes an attachment without a name.
        text = attachment.text("extracted_content")
        yield (
            Draft(
                source="claude",
                source_id=None if uuid is None else f"{uuid}#attachment-{number}",
                content=text,
                kind="document",
                name=attachment.label("file_name"),
                session=session,
                timestamp=time,
                extra={**extra, "message_id": uuid},
            ).finish()
            if text is not None
            else Skipped(FILE)
        )


def _blocks(message: Record) -> tuple[list[str], list[Skipped]]:
    """The text blocks, else the field `text`, which repeats them with remarks about what it leaves out."""
    texts: list[str] = []
    skipped: list[Skipped] = []
    for block in message.records("content"):
        kind = block.label("type") or ""
        if kind in SKIPPED_BLOCKS:
            skipped.append(Skipped(SKIPPED_BLOCKS[kind]))
        elif kind not in EMPTY_BLOCKS:
            text = block.text("text")
            if text is not None:
                texts.append(text)
            elif kind != "text":
                skipped.append(Skipped(UNKNOWN))
    whole = message.text("text")
    if not texts and not skipped and whole is not None:
        texts.append(whole)
    return texts, skipped


def _memory(record: Record) -> Iterator[Outcome]:
    account = record.label("account_uuid")
    yield from _texts(record, account or "account", {"conversations_memory": "summary"}, name=None)
    projects = record.record("project_memories")
    if projects is not None:
        for project in projects.fields:
            yield Draft(
                source="claude",
                source_id=f"{project}#memory",
                content=projects.text(project),
                kind="summary",
                extra={"project_id": project},
            ).finish()
    for file in record.records("memory_files"):
        yield Draft(
            source="claude",
            source_id=f"{account}#{file.label('path')}",
            content=file.text("content"),
            kind="summary",
            name=file.label("path"),
            timestamp=file.time("updated_at"),
        ).finish()


def _project(record: Record) -> Iterator[Outcome]:
    if record.fields.get("is_starter_project") is True:
        yield Skipped(DERIVED)
        return
    uuid, name = record.label("uuid"), record.label("name")
    yield from _texts(record, uuid or name or "", {"description": "concept", "prompt_template": "procedure"}, name=name)
    for document in record.records("docs"):
        yield Draft(
            source="claude",
            source_id=document.label("uuid"),
            content=document.text("content"),
            kind="document",
            name=document.first_label("filename", "file_name"),
            timestamp=document.time("created_at"),
            extra={"project_id": uuid, "project": name},
        ).finish()


def _texts(record: Record, owner: str, kinds: Mapping[str, TextKind], *, name: str | None) -> Iterator[Outcome]:
    """The fields of `record` that hold a text, where they do."""
    for field, kind in kinds.items():
        text = record.text(field)
        if text is not None:
            yield Draft(
                source="claude",
                source_id=f"{owner}#{field}",
                content=text,
                kind=kind,
                name=name,
                timestamp=record.time("created_at"),
            ).finish()
