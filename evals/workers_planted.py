"""Part `planted`: every planted case is told to the service, consolidated, and judged."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from evals import planted, planted_score
from evals.planted_model import Case, Line
from evals.planted_score import Outcome, Stored, Verdict
from evals.workers_service import Target

RESULTS = "planted.jsonl"
_K = 10
_CLIENTS = 4
# Cases end before this; relative times in a question are the asker's.
_ASKED_AT = datetime(2025, 12, 1, tzinfo=UTC)


def measure(
    target: Target, out: Path, *, seed: int, limit: int | None, say: Callable[[str], object]
) -> dict[str, float | int]:
    """All figures; `planted.jsonl` gets a line per case with what went wrong in it."""
    cases = spread(planted.cases(seed), limit)
    say(f"{len(cases)} planted cases")
    verdicts = run(target, cases)
    with (out / RESULTS).open("w", encoding="utf-8") as file:
        for verdict in verdicts:
            file.write(json.dumps(verdict.row(), ensure_ascii=False) + "\n")
    return planted_score.figures(verdicts)


def spread(cases: Sequence[Case], limit: int | None) -> Sequence[Case]:
    """Up to `limit` cases, evenly from all of them."""
    if limit is None or limit >= len(cases):
        return cases
    return [cases[place * len(cases) // limit] for place in range(limit)]


def run(target: Target, cases: Sequence[Case]) -> list[Verdict]:
    """The verdict of each case, in their order."""

    def judged(case: Case) -> Verdict:
        return planted_score.judge(case, tell(target, case))

    with ThreadPoolExecutor(_CLIENTS) as pool:
        return list(pool.map(judged, cases))


def tell(target: Target, case: Case) -> Outcome:
    """Store a case session by session, let it be consolidated, and read what came of it."""
    spaces = sorted({line.space for line in case.lines})
    for _, group in groupby(case.lines, lambda line: (line.session, line.space)):
        lines = list(group)
        space = space_name(case, lines[0].space)
        messages = [_message(case, line) for line in lines]
        target.client.add(messages=messages, space=space, session=lines[0].session, timezone="UTC", wait=True)
        if case.apart:
            target.work("consolidate", space)
    for space in spaces:
        target.work("consolidate", space_name(case, space))
    names = [space_name(case, space) for space in spaces]
    answer = target.client.recall(case.question, space=space_name(case, "main"), k=_K, now=_ASKED_AT)
    conflicts = [pair for name in names for pair in target.conflicts(name)]
    return Outcome(
        memories=tuple(memory for name in names for memory in _stored(target, case, name)),
        conflicts=tuple((str(first), str(second)) for first, second in conflicts),
        ranked=tuple(str(result.memory.id) for result in answer.results),
        now=datetime.now(UTC),
    )


def space_name(case: Case, space: str) -> str:
    """Its two spaces have one principal: only the space keeps them apart."""
    return f"planted-{case.id}" if space == "main" else f"planted-{case.id}-{space}"


def line_id(case: Case, line: str) -> UUID:
    """The id under which a line is stored."""
    return uuid5(NAMESPACE_URL, f"memsvc:evals:planted:{case.id}:{line}")


def _stored(target: Target, case: Case, space: str) -> Iterator[Stored]:
    lines = {line_id(case, line.id): line.id for line in case.lines}
    for memory in target.memories(space):
        if memory.id in lines:
            sources = [lines[memory.id]]
        else:
            sources = [lines[source] for source in target.sources(memory.id) if source in lines]
        yield Stored(
            id=str(memory.id),
            kind=memory.kind,
            content=memory.content,
            state=memory.state,
            sources=frozenset(sources),
            superseded_by=str(memory.superseded_by) if memory.superseded_by else None,
            valid_to=memory.valid_to,
        )


def _message(case: Case, line: Line) -> dict[str, object]:
    return {
        "id": line_id(case, line.id),
        "role": line.role,
        "name": line.name,
        "content": line.content,
        "timestamp": line.at,
    }
