"""The demo: its sample is sound, its score is right, and its report reads well without a terminal."""

import io
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from memsvc.demo.run import excerpt, run_demo
from memsvc.demo.sample import Sample, load_sample, score, turn_id
from memsvc.wire import (
    Memory,
    MessageIn,
    RecallResponse,
    RecallResult,
    Receipt,
    StageReason,
    WriteResponse,
    WrittenItem,
)

KINDS = {"single", "update", "contradiction", "temporal", "preference", "multi-session", "instruction", "assistant"}
RECORDED = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return load_sample()


class FakeClient:
    """Stores by id and ranks by shared words, rare ones first; ties go to the older turn."""

    def __init__(self) -> None:
        self.memories: dict[UUID, Memory] = {}
        self.asked: list[tuple[str, str, int, bool, datetime, str]] = []
        self.degraded = False

    def add(self, *, messages: Sequence[MessageIn], space: str, session: str, timezone: str) -> WriteResponse:
        items = []
        for position, message in enumerate(messages):
            memory = memory_of(message, space=space, session=session, zone=timezone, position=position)
            known = memory.id in self.memories
            self.memories.setdefault(memory.id, memory)
            items.append(
                WrittenItem(
                    id=memory.id,
                    status="duplicate" if known else "created",
                    state="activated",
                    version=1,
                    chunks=1,
                    searchable=True,
                )
            )
        created = sum(item.status == "created" for item in items)
        receipt = Receipt(
            id=uuid4(),
            space=space,
            stored=len(items),
            created=created,
            duplicates=len(items) - created,
            pending=0,
            searchable=True,
            recorded_at=RECORDED,
        )
        return WriteResponse(receipt=receipt, items=items)

    def recall(
        self, query: str, /, *, space: str, k: int, explain: bool, now: datetime, timezone: str
    ) -> RecallResponse:
        self.asked.append((query, space, k, explain, now, timezone))
        asked = words(query)
        held = Counter(word for memory in self.memories.values() for word in words(memory.content))

        def weight(memory: Memory) -> float:
            return sum(1 / held[word] for word in asked & words(memory.content))

        ranked = sorted(self.memories.values(), key=lambda memory: (-weight(memory), memory.occurred_at))
        return RecallResponse(
            results=[
                RecallResult(
                    rank=rank,
                    score=1 / rank,
                    memory=memory,
                    snippet_start=0,
                    snippet_end=len(memory.content),
                    tokens=10,
                    matched_terms=sorted(asked & words(memory.content)),
                    reasons=[
                        StageReason(stage="recency", raw=0.5, contribution=0.01),
                        StageReason(stage="dense", raw=0.62, contribution=0.31),
                        StageReason(stage="lexical", raw=7.9, contribution=0.45),
                    ],
                )
                for rank, memory in enumerate(ranked[:k], 1)
            ],
            recipe="balanced",
            encoder="fake",
            tokens=10 * k,
            candidates=len(ranked),
            degraded=self.degraded,
            notes=["dense arm left out"] if self.degraded else [],
            timings_ms={},
        )


def memory_of(message: MessageIn, *, space: str, session: str, zone: str, position: int) -> Memory:
    return Memory(
        id=message.id or uuid4(),
        space=space,
        kind="turn",
        payload_type="plaintext",
        content=message.content,
        role=message.role,
        name=message.name,
        session=session,
        position=position,
        origin="api",
        actor="tester",
        occurred_at=message.timestamp,
        occurred_zone=zone,
        recorded_at=RECORDED,
        updated_at=RECORDED,
        state="activated",
        version=1,
        importance=0.5,
        strength=1.0,
        trust=1.0,
        access_count=0,
        last_accessed_at=None,
        sensitivity="normal",
        visibility="space",
        expires_at=None,
        legal_hold=False,
        content_hash="0" * 64,
        searchable=True,
        metadata=message.metadata,
    )


def words(text: str) -> set[str]:
    return set(re.findall(r"\w{4,}", text.lower()))


def log_console(width: int = 100) -> Console:
    """A console that writes to a log: no terminal, no colours."""
    return Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_conversation_covers_a_year_of_alternating_turns(sample: Sample) -> None:
    turns = sample.turns
    assert sample.space == "demo"
    assert len(sample.sessions) == 12
    assert 190 <= len(turns) <= 240
    assert turns[0].timestamp.date().isoformat() == "2025-02-11"
    assert turns[-1].timestamp.date().isoformat() == "2026-02-05"
    assert {(turn.role, turn.name) for turn in turns} == {("user", "Clara"), ("assistant", "Wren")}
    changes = sum(one.role != other.role for one, other in pairwise(turns))
    assert changes / len(turns) > 0.9


def test_keys_name_session_and_turn_and_are_unique(sample: Sample) -> None:
    expected = [
        f"s{session:02d}t{turn:02d}"
        for session, one in enumerate(sample.sessions, 1)
        for turn, _ in enumerate(one.turns, 1)
    ]
    assert [turn.key for turn in sample.turns] == expected
    assert len({turn_id(sample.space, turn) for turn in sample.turns}) == len(expected)


def test_turns_are_in_order_of_time_at_the_offset_of_their_zone(sample: Sample) -> None:
    assert all(one.timestamp < other.timestamp for one, other in pairwise(sample.turns))
    for session in sample.sessions:
        assert session.name.startswith(session.turns[0].timestamp.date().isoformat())
        for turn in session.turns:
            assert turn.timestamp.utcoffset() == turn.timestamp.astimezone(ZoneInfo(session.timezone)).utcoffset()


def test_turns_are_plain_text_of_varied_length(sample: Sample) -> None:
    lengths = [len(turn.content) for turn in sample.turns]
    assert min(lengths) < 20
    assert max(lengths) > 700
    assert all(turn.content == turn.content.strip() and "\r" not in turn.content for turn in sample.turns)


def test_assistant_follows_the_punctuation_rule_it_was_given(sample: Sample) -> None:
    loud = [turn.key for turn in sample.turns if turn.role == "assistant" and "!" in turn.content]
    assert loud == ["s12t04"]  # babies are the agreed exception


def test_questions_cite_turns_that_exist(sample: Sample) -> None:
    keys = {turn.key for turn in sample.turns}
    assert len(sample.questions) == 15
    assert {question.kind for question in sample.questions} == KINDS
    for question in sample.questions:
        assert question.question.endswith("?")
        assert question.answer
        assert question.evidence
        assert len(set(question.evidence)) == len(question.evidence)
        assert set(question.evidence) <= keys
    speakers = {turn.key: turn.role for turn in sample.turns}
    assert {speakers[key] for one in sample.questions if one.kind == "assistant" for key in one.evidence} == {
        "assistant"
    }
    assert all(len(one.evidence) > 1 for one in sample.questions if one.kind == "multi-session")


def test_turn_id_changes_with_space_and_content(sample: Sample) -> None:
    first, second = sample.turns[:2]
    assert turn_id("demo", first) == turn_id("demo", first)
    assert len({turn_id("demo", first), turn_id("other", first), turn_id("demo", second)}) == 3


@pytest.mark.parametrize(
    ("evidence", "k", "hit", "fraction"),
    [
        ([2], 1, False, 0.0),
        ([2], 2, True, 1.0),
        ([2, 9], 3, True, 0.5),
        ([1, 2, 3], 5, True, 1.0),
        ([9], 9, False, 0.0),
    ],
)
def test_score_counts_evidence_in_the_top_k(evidence: list[int], k: int, hit: bool, fraction: float) -> None:
    ranked = [UUID(int=number) for number in (1, 2, 3, 4)]
    result = score([UUID(int=number) for number in evidence], ranked, k)
    assert (result.hit, result.fraction) == (hit, fraction)


def test_score_needs_evidence_and_a_positive_k() -> None:
    with pytest.raises(ValueError, match="at least one"):
        score([], [UUID(int=1)], 5)
    with pytest.raises(ValueError, match="k >= 1"):
        score([UUID(int=1)], [UUID(int=1)], 0)


def test_run_stores_every_turn_and_asks_every_question(sample: Sample) -> None:
    client, console = FakeClient(), log_console()
    result = run_demo(client, console=console)
    assert (result.created, result.duplicates, result.k) == (226, 0, 5)
    assert {memory.session for memory in client.memories.values()} == {one.name for one in sample.sessions}
    assert [query for query, *_ in client.asked] == [question.question for question in sample.questions]
    assert {rest for _, *rest_list in client.asked for rest in [tuple(rest_list)]} == {
        ("demo", 5, True, sample.turns[-1].timestamp, "Europe/Lisbon")
    }
    assert 0 < result.hit_rate < 1
    assert result.evidence_rate <= result.hit_rate


def test_report_names_evidence_reasons_and_next_steps() -> None:
    console = log_console()
    result = run_demo(FakeClient(), console=console)
    text = printed(console)
    assert "226/226 turns" in text
    assert "226 turns are stored in the space demo." in text
    assert "You are planning a dinner for me: what has to stay off the plate?" in text
    assert re.search(r"✓ +2 2025-02-11 Clara +Dinner's calling", text)
    assert re.search(r"✓ +5 2025-10-14 Clara +Doing it now", text)  # below rank 3 evidence alone is shown
    assert not re.search(r"^ {5,}[45] 202", text, re.MULTILINE)
    assert "lexical +0.45" in text
    assert "dense +0.31" in text
    assert "recency" not in text
    kinds = Counter(outcome.question.kind for outcome in result.outcomes)
    assert all(re.search(rf"^ *{kind} +{count} ", text, re.MULTILINE) for kind, count in kinds.items())
    hits = sum(outcome.score.hit for outcome in result.outcomes)
    assert f"{hits} ({result.hit_rate:.0%})" in text
    for next_step in (
        "memsvc serve",
        "memsvc demo --url",
        "curl http",
        "from memsvc.sdk import MemoryClient",
        "python -m evals run",
    ):
        assert next_step in text


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_report_fits_its_width_and_carries_no_control_codes(width: int) -> None:
    console = log_console(width)
    run_demo(FakeClient(), console=console)
    text = printed(console)
    assert "\x1b" not in text
    assert "\r" not in text
    assert all(console.measure(line).maximum <= width for line in text.splitlines())


def test_second_run_says_that_nothing_is_doubled() -> None:
    client, console = FakeClient(), log_console()
    first = run_demo(client, console=log_console())
    second = run_demo(client, console=console)
    assert (second.created, second.duplicates) == (0, 226)
    assert "recognised, nothing is doubled" in printed(console)
    assert second.outcomes == first.outcomes


def test_interrupted_run_is_completed(sample: Sample) -> None:
    client, console = FakeClient(), log_console()
    run_demo(client, console=log_console())
    del client.memories[turn_id(sample.space, sample.turns[-1])]
    result = run_demo(client, console=console)
    assert (result.created, result.duplicates) == (1, 225)
    assert "New turns: 1; stored already: 225; nothing is doubled." in printed(console)


def test_degraded_recall_is_said() -> None:
    client, console = FakeClient(), log_console()
    client.degraded = True
    run_demo(client, console=console)
    assert "degraded: dense arm left out" in printed(console)


def test_log_in_ascii_survives_accents_and_emoji() -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii") as stream:
        run_demo(FakeClient(), console=Console(file=stream, width=100, force_terminal=False))
        stream.flush()
        text = raw.getvalue().decode("ascii")
    assert re.search(r"\* +2 2025-02-11 Clara +Dinner's calling", text)


def test_excerpt_keeps_short_text_on_one_line() -> None:
    assert excerpt("A stream\nto jump  over", ["stream"], 40) == "A stream to jump over"


def test_excerpt_starts_at_the_sentence_that_matches() -> None:
    text = "The brick went down this week. Nobody spoke. The trees come in October, after the heat."
    assert excerpt(text, ["October", "heat"], 46) == "… The trees come in October, after the heat."
    assert excerpt(text, [], 34) == "The brick went down this week. …"


@pytest.mark.parametrize("width", [20, 45, 90])
def test_excerpt_never_exceeds_its_width(sample: Sample, width: int) -> None:
    for turn in sample.turns:
        assert len(excerpt(turn.content, ["tree", "stream", "Thursday"], width)) <= width
