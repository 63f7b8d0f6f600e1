"""What the summaries of a session should be, from what was read of it. Pure.

A session is summarised at two levels: the segments of its topics, and the whole, from the lines of these. A session of
one topic has only the whole. Segments that have ended stay as they are: only the last one is cut anew when turns come,
and one is written again when a turn in it changed. An overview that was edited or frozen is left alone, and one that
was archived is not made again while its turns stay what they were.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from memsvc.extraction.model import Said
from memsvc.extraction.segments import Bounds, Vectors, segment
from memsvc.extraction.summaries import Choice, select, summarize
from memsvc.ids import MemoryId, new_uuid
from memsvc.ingest.prepare import content_hash
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.summaries import Overview, SessionState, Turn
from memsvc.text.tokens import estimate_tokens
from memsvc.upkeep.derive import Derivation
from memsvc.upkeep.learning import read_zone

# No model reads these segments unless it is asked to write them, so long answers may stay within one.
TOPICS = Bounds(most_tokens=4000)
# A session's summary takes at most this share of its topics' lines, in tokens, and at most so many.
SESSION_SHARE, SESSION_TOKENS, LEAST_TOKENS = 0.5, 240, 60
BY_RULES = "extractive/1"
BY_MODEL = "model"

Standing = Literal["ours", "kept", "gone"]


@dataclass(frozen=True, slots=True)
class History:
    """A session, the overviews that tell of it in whatever state, and the turns that these do not settle.

    `changed`: the overviews that are not of what is there now. Not `complete`: there are more turns than were read.
    """

    state: SessionState
    overviews: tuple[Overview, ...]
    changed: frozenset[MemoryId]
    turns: tuple[Turn, ...] = ()
    complete: bool = True

    @property
    def topics(self) -> list[Overview]:
        """Those of its segments, in order; what leaves recall gives way to what is in it."""
        found = [one for one in self.overviews if one.metadata.get("level") == "topic" and span_of(one) is not None]
        live = [one for one in found if standing(one) != "gone"]
        gone = [one for one in found if standing(one) == "gone" and not any(_overlap(one, other) for other in live)]
        return sorted([*live, *gone], key=lambda one: (span_of(one), one.source.id))

    @property
    def settled(self) -> list[Overview]:
        """The segments that stay as they are. One that was the session's last goes on when turns follow it."""
        return [
            one
            for one in self.topics
            if standing(one) == "kept"
            or (
                one.source.id not in self.changed
                and (one.metadata.get("open") is not True or self.state.last <= _span(one)[1])
            )
        ]

    @property
    def unsettled(self) -> list[tuple[int, int]]:
        """The places, ends included, that no settled segment covers."""
        edges = [(-1, -1), *(_span(one) for one in self.settled), (self.state.last + 1, self.state.last + 1)]
        spans = [(before[1] + 1, after[0] - 1) for before, after in pairwise(edges)]
        return [(first, last) for first, last in spans if first <= last]


@dataclass(frozen=True, slots=True)
class Passage:
    """Turns of one topic that are to be summarised; `before` is the overview that told of them, if one did."""

    turns: tuple[Turn, ...]
    before: Overview | None

    @property
    def key(self) -> tuple[MemoryId, MemoryId]:
        """Its first and its last turn."""
        return self.turns[0].source.id, self.turns[-1].source.id


Write = Callable[[Passage], str | None]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of an overview; `place` is (position, start, end) in the session, or None for a model's sentence."""

    text: str
    place: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class _Part:
    """One segment as the session's summary sees it; `content_number` None: planned in the same run."""

    span: tuple[int, int]
    turns: int
    lines: tuple[_Line, ...]
    topic: MemoryId
    content_number: int | None
    by: str


def plan_summaries(histories: Sequence[History], *, write: Write | None = None) -> list[Derivation]:
    """What to make, revise and archive, a session's topics before the session itself.

    `write` may give the text of a passage, which must be borne out by its turns (`thinking.summarize` sees to that);
    where it gives None the passage is summarised by its own sentences.
    """
    return [plan for history in histories for plan in _plan_session(history, write)]


def find_passages(history: History) -> list[Passage]:
    """The segments of what is not settled, each with the overview that it takes up."""
    settled = history.settled
    starts = [_span(one)[0] for one in settled]
    runs: dict[int, list[Turn]] = {}
    for turn in history.turns:
        runs.setdefault(bisect_right(starts, turn.position), []).append(turn)
    taken = {one.source.id for one in settled}
    open_ones = [one for one in history.topics if standing(one) == "ours" and one.source.id not in taken]
    passages = []
    for _, run in sorted(runs.items()):
        for piece in _segment(run):
            before = max(open_ones, key=lambda one: _shared(one, piece), default=None)
            if before is None or not _shared(before, piece):
                passages.append(Passage(piece, None))
                continue
            open_ones.remove(before)
            passages.append(Passage(piece, before))
    return passages


def standing(overview: Overview) -> Standing:
    """Whether an overview is upkeep's to revise, stays as somebody made it, or has left recall."""
    if overview.superseded or overview.state not in CURRENT_STATES:
        return "gone"
    is_ours = overview.metadata.get("made") == _made(overview.content_hash)
    return "ours" if is_ours and overview.state != "frozen" else "kept"


def span_of(overview: Overview) -> tuple[int, int] | None:
    """The places that it tells of, ends included; None when its metadata was edited away."""
    first, last = overview.metadata.get("first"), overview.metadata.get("last")
    if type(first) is int and type(last) is int and first <= last:
        return first, last
    return None


def as_said(turn: Turn) -> Said:
    """A turn as extraction reads it, at the time of the speaker's clock."""
    source = turn.source
    at = None if source.occurred_at is None else source.occurred_at.astimezone(read_zone(source.occurred_zone))
    return Said(turn.content, turn.name, turn.role, at=at)


def _plan_session(history: History, write: Write | None) -> Iterator[Derivation]:
    passages = find_passages(history)
    # What was only archived may still be told of in the whole.
    told = [one for one in history.settled if one.state not in ("quarantined", "expired") and not one.superseded]
    level = _current([one for one in history.overviews if one.metadata.get("level") == "session"])
    in_parts = bool(history.topics) or len(passages) > 1
    parts = [_known_part(one) for one in told]
    topics: list[Derivation] = []
    for passage in passages:
        part, plan = _write_part(history, passage, write)
        parts.append(part)
        if plan is not None and in_parts:
            topics.append(plan)
    kept = {*(passage.before.source.id for passage in passages if passage.before), *(part.topic for part in parts)}
    left = [one for one in history.topics if standing(one) == "ours" and one.source.id not in kept]
    yield from topics
    yield from (_retire(one) for one in left)
    is_gone = level is not None and standing(level) == "gone"
    if parts and not (is_gone and in_parts and not topics and not left):
        yield _session_plan(
            history, sorted(parts, key=lambda part: part.span), passages, told, None if is_gone else level
        )
    elif level is not None and not parts and standing(level) == "ours":
        yield _retire(level)


def _write_part(history: History, passage: Passage, write: Write | None) -> tuple[_Part, Derivation | None]:
    """A passage as a part of its session, and what to do about its overview; None when that says it already."""
    turns, before = passage.turns, passage.before
    text = (write(passage) or "").strip() if write is not None else ""
    lines = tuple(_Line(line, None) for line in text.splitlines() if line.strip()) or _extract(turns)
    content = "\n".join(line.text for line in lines)
    span = turns[0].position, turns[-1].position
    metadata: dict[str, Any] = {
        "level": "topic",
        "session": history.state.name,
        "first": span[0],
        "last": span[1],
        "turns": len(turns),
        "open": turns[-1].source.id == history.turns[-1].source.id and not _settled_after(history, span[1]),
        "newest": max(turn.source.content_number for turn in turns),
        "lines": [line.place and list(line.place) for line in lines],
        "by": BY_MODEL if text else BY_RULES,
        "made": _made(content_hash(content).hex()),
    }
    same_text = before is not None and before.content == content
    topic = before.source.id if before is not None else MemoryId(new_uuid())
    part = _Part(span, len(turns), lines, topic, None, metadata["by"])
    if before is not None and same_text and dict(before.metadata) == metadata:
        return _Part(span, len(turns), lines, topic, before.source.content_number, metadata["by"]), None
    plan = Derivation(
        id=topic,
        version=None if before is None else before.version,
        kind="summary",
        content=None if same_text else content,
        metadata=metadata,
        parents=tuple(turn.source.id for turn in turns),
        sources=tuple(turn.source for turn in turns),
        checks={turn.source.id: turn.source.content_number for turn in turns},
        reason=f"turns {span[0]} to {span[1]} of a session",
    )
    return part, plan


def _session_plan(
    history: History,
    parts: Sequence[_Part],
    passages: Sequence[Passage],
    told: Sequence[Overview],
    before: Overview | None,
) -> Derivation:
    """The session as a whole: of its topics' lines, or of its turns where it has one topic."""
    state, is_whole = history.state, len(parts) == 1 and not history.topics
    lines = parts[0].lines if is_whole else _choose(parts)
    content = "\n".join(line.text for line in lines)
    seen = {
        "counted": state.turns if history.complete else 0,
        "newest": state.newest if history.complete else 0,
    }
    turns = [turn.source for passage in passages for turn in passage.turns]
    checks = {source.id: source.content_number for source in turns}
    checks |= {part.topic: part.content_number for part in parts if part.content_number is not None and not is_whole}
    metadata: Mapping[str, Any] = {
        "level": "session",
        "session": state.name,
        "first": parts[0].span[0],
        "last": parts[-1].span[1],
        "turns": sum(part.turns for part in parts),
        "topics": len(parts),
        "lines": [line.place and list(line.place) for line in lines],
        "by": BY_MODEL if any(part.by == BY_MODEL for part in parts) else BY_RULES,
        "made": _made(content_hash(content).hex()),
        **seen,
    }
    parents = tuple(source.id for source in turns) if is_whole else tuple(part.topic for part in parts)
    same_text = before is not None and before.content == content
    if before is not None and standing(before) == "kept":
        metadata, parents, checks, same_text = {**before.metadata, **seen}, (), {}, True
    return Derivation(
        id=MemoryId(new_uuid()) if before is None else before.source.id,
        version=None if before is None else before.version,
        kind="summary",
        content=None if same_text else content,
        metadata=metadata,
        parents=parents,
        sources=(*turns, *(one.source for one in told), *([] if before is None else [before.source])),
        checks=checks,
        reason=f"a session of {sum(part.turns for part in parts)} turns on {len(parts)} topics",
    )


def _choose(parts: Sequence[_Part]) -> list[_Line]:
    lines = [(line, place) for place, part in enumerate(parts) for line in part.lines]
    choices = [Choice(line.text, line.text.split(": ", 1)[-1], place) for line, place in lines]
    total = sum(estimate_tokens(choice.text) for choice in choices)
    most = round(min(SESSION_TOKENS, max(LEAST_TOKENS, SESSION_SHARE * total)))
    chosen = select(choices, most_tokens=most) or [0]
    return [lines[place][0] for place in chosen]


def _extract(turns: Sequence[Turn]) -> tuple[_Line, ...]:
    lines = summarize([as_said(turn) for turn in turns], vectors=_vectors(turns))
    return tuple(_Line(line.text, (turns[line.turn].position, line.start, line.end)) for line in lines)


def _segment(run: Sequence[Turn]) -> list[tuple[Turn, ...]]:
    tokens = [estimate_tokens(turn.content) for turn in run]
    times = [turn.source.occurred_at or turn.recorded_at for turn in run]
    cut = segment(_vectors(run), tokens, times, bounds=TOPICS)
    return [tuple(run[one.start : one.end]) for one in cut]


def _vectors(turns: Sequence[Turn]) -> Vectors:
    """float32[n, d], NaN where a turn has none."""
    dimension = next((len(turn.vector) for turn in turns if turn.vector is not None), 1)
    missing = np.full(dimension, np.nan, np.float32)
    return np.stack([missing if turn.vector is None else turn.vector for turn in turns])


def _known_part(overview: Overview) -> _Part:
    """A settled segment by what its overview says; lines that do not match the metadata any more have no place."""
    texts = overview.content.splitlines()
    places = overview.metadata.get("lines")
    known = places if isinstance(places, list) and len(places) == len(texts) else [None] * len(texts)
    lines = tuple(_Line(text, _place(place)) for text, place in zip(texts, known, strict=True) if text.strip())
    turns = overview.metadata.get("turns")
    return _Part(
        _span(overview),
        turns if type(turns) is int else 0,
        lines,
        overview.source.id,
        overview.source.content_number,
        str(overview.metadata.get("by")),
    )


def _place(place: object) -> tuple[int, int, int] | None:
    if isinstance(place, list) and len(place) == 3 and all(type(part) is int for part in place):
        return place[0], place[1], place[2]
    return None


def _settled_after(history: History, position: int) -> bool:
    return any(_span(one)[0] > position for one in history.settled)


def _retire(overview: Overview) -> Derivation:
    return Derivation(
        id=overview.source.id,
        version=overview.version,
        kind="summary",
        content=None,
        metadata=overview.metadata,
        parents=(),
        sources=(overview.source,),
        checks={},
        reason="nothing is left of what it told of",
        retired=True,
    )


def _current(overviews: Sequence[Overview]) -> Overview | None:
    """The one in recall, else the latest."""
    return max(overviews, key=lambda one: (standing(one) != "gone", one.source.content_number), default=None)


def _span(overview: Overview) -> tuple[int, int]:
    return span_of(overview) or (0, -1)


def _overlap(one: Overview, other: Overview) -> bool:
    return _span(one)[0] <= _span(other)[1] and _span(other)[0] <= _span(one)[1]


def _shared(overview: Overview, turns: Sequence[Turn]) -> int:
    first, last = _span(overview)
    return sum(first <= turn.position <= last for turn in turns)


def _made(hashed: str) -> str:
    """What tells a content that upkeep wrote from one that somebody edited."""
    return hashed[:16]
