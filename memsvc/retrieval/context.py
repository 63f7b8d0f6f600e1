"""A prompt-ready block from recalled memories: in the order of time, cited, within a token budget. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from memsvc.retrieval.plan import Hit
from memsvc.store.memories import Record
from memsvc.text.tokens import estimate_tokens

EPOCH = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Block:
    """`hits` are those that the text cites, in its order: `[1]` is the first."""

    text: str
    hits: tuple[Hit, ...]
    tokens: int


def compose(hits: Sequence[Hit], core: Sequence[Record], *, budget: int | None, zone: ZoneInfo) -> Block:
    """The core memory, then the best hits that still fit `budget` tokens, ordered by time; headings count too.

    A hit is taken whole or not at all: half a memory can say the opposite of the whole one. The core memory is always
    there, also where it passes the budget by itself.
    """
    chosen: list[Hit] = []
    first = "\n".join(f"## Core: {section.name}\n{section.content}" for section in core)
    tokens = estimate_tokens(first + "\n\n") if first else 0
    for hit in hits:
        cost = estimate_tokens(_line(len(hits), hit, zone) + "\n\n" + _heading(hit, zone) + "\n")
        if budget is None or tokens + cost <= budget:
            chosen.append(hit)
            tokens += cost
    chosen.sort(key=_when)
    text = "\n\n".join(part for part in (first, _render(chosen, zone)) if part)
    return Block(text, tuple(chosen), estimate_tokens(text))


def _render(hits: Sequence[Hit], zone: ZoneInfo) -> str:
    lines: list[str] = []
    heading = ""
    for ref, hit in enumerate(hits, start=1):
        if _heading(hit, zone) != heading:
            heading = _heading(hit, zone)
            lines += ["", heading] if lines else [heading]
        lines.append(_line(ref, hit, zone))
    return "\n".join(lines)


def _heading(hit: Hit, zone: ZoneInfo) -> str:
    moment = hit.record.occurred_at
    date = "Undated" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d (%a)")
    return f"## {date}" + (f", session {hit.record.session}" if hit.record.session else "")


def _line(ref: int, hit: Hit, zone: ZoneInfo) -> str:
    record = hit.record
    who = record.name or record.role or record.kind
    clock = "" if record.occurred_at is None else record.occurred_at.astimezone(zone).strftime("%H:%M ")
    return f"[{ref}] {clock}{who}: {record.content}"


def _when(hit: Hit) -> tuple[datetime, str, int, int]:
    """Time, then place in the conversation; ties end at the number, so that the order never varies."""
    record = hit.record
    position = -1 if record.position is None else record.position
    return (record.occurred_at or EPOCH, record.session or "", position, record.number)
