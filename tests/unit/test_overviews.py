"""Planning summaries without a database: what is written anew, by whom, and which facts are put together."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from memsvc.ids import MemoryId, SessionId
from memsvc.ingest.prepare import content_hash
from memsvc.store.summaries import Overview, SessionState, Source, Turn
from memsvc.store.topics import KnownFact
from memsvc.upkeep.derive import Derivation, inherit
from memsvc.upkeep.overviews import History, Passage, find_passages, plan_summaries, standing
from memsvc.upkeep.topics import Topic, plan_topics

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SESSION = SessionId(UUID(int=1))
GARDEN = "The garden tomatoes number {} need water."
EDITED = "Ana takes the sleeper to Vienna on Thursday with Rosa."
TRAIN = "The night train number {} leaves from Vienna."


def source(number: int, **fields: object) -> Source:
    known = {
        "id": MemoryId(UUID(int=1000 + number)),
        "content_number": number,
        "occurred_at": AT + timedelta(minutes=number),
        "occurred_zone": "UTC",
        "importance": 0.5,
        "sensitivity": "normal",
        "visibility": "space",
        "trust": 0.5,
    }
    return Source(**{**known, **fields})


def direction(topic: int, number: int) -> np.ndarray:
    vector = np.random.default_rng(number).normal(size=32) * 0.05
    vector[topic] += 1
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def turns(*topics: int, start: int = 0) -> tuple[Turn, ...]:
    """One turn for each number: the topic that it is on."""
    return tuple(
        Turn(
            source=source(place + 1),
            session_id=SESSION,
            position=place,
            content=(GARDEN, TRAIN)[topic].format(place),
            role="user",
            name="Ana",
            recorded_at=AT,
            vector=direction(topic, place),
        )
        for place, topic in enumerate(topics, start=start)
    )


def history(said: tuple[Turn, ...], *overviews: Overview, changed: tuple[MemoryId, ...] = ()) -> History:
    last, newest = said[-1].position, max(turn.source.content_number for turn in said)
    state = SessionState(SESSION, "monday", len(said), last, newest, AT)
    read = History(state, overviews, frozenset(changed))
    spans = read.unsettled
    return History(state, overviews, frozenset(changed), tuple(t for t in said if _within(t.position, spans)))


def _within(position: int, spans: list[tuple[int, int]]) -> bool:
    return any(first <= position <= last for first, last in spans)


def stored(plan: Derivation, number: int, **fields: object) -> Overview:
    """What a plan becomes once it is applied."""
    content = plan.content or ""
    known = {
        "source": source(number, id=plan.id),
        "version": 1,
        "state": "generated",
        "superseded": False,
        "name": plan.name,
        "content": content,
        "content_hash": content_hash(content).hex(),
        "metadata": dict(plan.metadata),
        "members": plan.parents,
    }
    return Overview(**{**known, **fields})


def by_level(plans: list[Derivation]) -> dict[str, list[Derivation]]:
    found: dict[str, list[Derivation]] = {}
    for plan in plans:
        found.setdefault("retired" if plan.retired else plan.metadata["level"], []).append(plan)
    return found


def test_a_session_comes_after_its_topics_and_is_made_of_them() -> None:
    plans = plan_summaries([history(turns(*[0] * 6, *[1] * 6))])
    assert [plan.metadata["level"] for plan in plans] == ["topic", "topic", "session"]
    assert plans[2].parents == (plans[0].id, plans[1].id)
    assert set(plans[2].content.splitlines()) <= {*plans[0].content.splitlines(), *plans[1].content.splitlines()}
    assert [plan.metadata["open"] for plan in plans[:2]] == [False, True]


def test_what_a_model_wrote_of_a_passage_is_told_as_its_own() -> None:
    asked: list[Passage] = []

    def write(passage: Passage) -> str | None:
        asked.append(passage)
        return "Ana has twelve tomatoes.\nThey are thirsty." if passage.turns[0].position == 0 else None

    plans = by_level(plan_summaries([history(turns(*[0] * 6, *[1] * 6))], write=write))
    first, second = plans["topic"]
    assert (first.content, first.metadata["by"]) == ("Ana has twelve tomatoes.\nThey are thirsty.", "model")
    assert first.metadata["lines"] == [None, None]
    assert second.metadata["by"] == "extractive/1"
    assert plans["session"][0].metadata["by"] == "model"
    assert [passage.key for passage in asked] == [
        (passage.turns[0].source.id, passage.turns[-1].source.id) for passage in asked
    ]


def test_a_model_that_writes_nothing_leaves_the_sentences() -> None:
    plans = plan_summaries([history(turns(*[0] * 6))], write=lambda _: "  \n")
    assert plans[0].metadata["by"] == "extractive/1"
    assert plans[0].content.startswith("Ana, 2 March 2026: ")


def test_ended_topics_are_not_read_again() -> None:
    said = turns(*[0] * 6, *[1] * 6)
    first, second, whole = plan_summaries([history(said)])
    known = (stored(first, 20), stored(second, 21), stored(whole, 22))
    more = turns(*[0] * 6, *[1] * 8)
    later = history(more, *known)
    assert later.unsettled == [(6, 13)]
    (passage,) = find_passages(later)
    assert (passage.before, len(passage.turns)) == (known[1], 8)
    plans = plan_summaries([later])
    assert [(plan.id, plan.version) for plan in plans] == [(second.id, 1), (whole.id, 1)]
    assert plans[1].checks[first.id] == 20


def test_a_topic_with_a_changed_turn_is_written_again_and_only_that() -> None:
    said = turns(*[0] * 6, *[1] * 6)
    plans = plan_summaries([history(said)])
    known = tuple(stored(plan, 20 + place) for place, plan in enumerate(plans))
    later = history(said, *known, changed=(plans[0].id,))
    assert later.unsettled == [(0, 5)]
    # It says what it said: only the session notes what it has seen.
    assert [plan.metadata["level"] for plan in plan_summaries([later])] == ["session"]


def test_a_topic_that_lost_all_its_turns_is_retired() -> None:
    said = turns(*[0] * 6, *[1] * 6)
    plans = plan_summaries([history(said)])
    known = tuple(stored(plan, 20 + place) for place, plan in enumerate(plans))
    later = history(said[6:], *known, changed=(plans[0].id,))
    found = by_level(plan_summaries([later]))
    assert [plan.id for plan in found["retired"]] == [plans[0].id]
    assert found["session"][0].parents == (plans[1].id,)


def test_an_archived_topic_is_not_made_again_and_an_edited_one_is_kept() -> None:
    said = turns(*[0] * 6, *[1] * 6)
    first, second, whole = plan_summaries([history(said)])
    gone = stored(first, 20, state="archived")
    edited = stored(second, 21, content=EDITED, content_hash=content_hash(EDITED).hex())
    assert (standing(gone), standing(edited)) == ("gone", "kept")
    later = history(said, gone, edited, stored(whole, 22))
    assert later.unsettled == []
    (plan,) = plan_summaries([later])
    assert plan.metadata["level"] == "session"
    assert EDITED in plan.content.splitlines()


def test_nothing_is_planned_on_what_an_incomplete_reading_did_not_see() -> None:
    whole = history(turns(*[0] * 6))
    cut = History(whole.state, (), frozenset(), whole.turns[:4], complete=False)
    (plan,) = plan_summaries([cut])
    assert (plan.metadata["last"], plan.metadata["counted"], plan.metadata["newest"]) == (3, 0, 0)


def test_a_derived_memory_is_as_closely_kept_as_the_closest_of_its_sources() -> None:
    sources = [source(1, visibility="tenant", trust=0.9), source(2, sensitivity="sensitive", occurred_at=None)]
    assert inherit(sources) == {
        "occurred_at": AT + timedelta(minutes=1),
        "occurred_zone": "UTC",
        "sensitivity": "sensitive",
        "visibility": "space",
        "trust": 0.5,
    }


def facts(topic: int, *numbers: int, subject: str = "ana") -> list[KnownFact]:
    """One fact for each number, said in a session of that number."""
    return [
        KnownFact(
            source=source(number),
            kind="fact",
            content=f"Ana has thing {number} of topic {topic}.",
            name="Ana",
            subject=subject,
            attribute="has",
            confidence=0.9,
            said_in=MemoryId(UUID(int=number)),
            session=f"s{number // 2}",
            position=number,
            start=0,
            end=10,
            recorded_at=AT,
            vector=direction(topic, number),
        )
        for number in numbers
    ]


def others(subject: str = "ana") -> list[KnownFact]:
    """Facts on nothing in common."""
    return [fact for topic in range(5, 15) for fact in facts(topic, 100 + topic, subject=subject)]


def test_facts_on_one_topic_of_one_subject_from_several_sessions_are_a_summary() -> None:
    plans = plan_topics([*facts(0, 1, 2, 3, 4), *facts(1, 5, 6, 7, 8), *facts(2, 9, 10), *others()], [])
    assert [plan.metadata["facts"] for plan in plans] == [4, 4]
    first = plans[0]
    assert (first.name, first.metadata["level"], first.metadata["subject"]) == ("Ana", "space", "ana")
    assert first.parents == tuple(fact.source.id for fact in facts(0, 1, 2, 3, 4))
    assert all(line.startswith("2 March 2026: Ana has thing ") for line in first.content.splitlines())
    assert first.metadata["lines"][0] == ["s0", 1, 0, 10]


def test_too_few_facts_one_session_or_two_subjects_are_none() -> None:
    assert plan_topics([*facts(0, 1, 2, 3), *others()], []) == []
    same = [KnownFact(**{**_fields(fact), "session": "s1"}) for fact in facts(0, 1, 2, 3, 4)]
    assert plan_topics([*same, *others()], []) == []
    assert plan_topics([*facts(0, 1, 2), *facts(0, 3, 4, subject="ben"), *others(), *others("ben")], []) == []
    assert plan_topics([*facts(0, 1, 2, 3, 4, subject=""), *others("")], []) == []
    assert plan_topics(facts(0, 1, 2, 3, 4), []) == []


def test_a_new_fact_joins_the_topic_that_it_fits_and_no_full_one() -> None:
    (made,) = plan_topics([*facts(0, 1, 2, 3, 4), *others()], [])
    topic = Topic(stored(made, 30), tuple(facts(0, 1, 2, 3, 4)))
    plans = plan_topics([*facts(0, 5), *facts(1, 24), *others()], [topic])
    assert [(plan.id, plan.version, plan.metadata["facts"]) for plan in plans] == [(made.id, 1, 5)]
    full = Topic(stored(made, 30), tuple(facts(0, *range(40, 64))))
    assert [plan.metadata["facts"] for plan in plan_topics([*facts(0, 5), *others()], [full])] == [24]


def test_a_topic_without_changes_is_left_alone_and_one_without_facts_is_retired() -> None:
    (made,) = plan_topics([*facts(0, 1, 2, 3, 4), *others()], [])
    overview = stored(made, 30)
    assert plan_topics([], [Topic(overview, tuple(facts(0, 1, 2, 3, 4)))]) == []
    (plan,) = plan_topics([], [Topic(overview, tuple(facts(0, 1)))])
    assert plan.retired
    (plan,) = plan_topics([], [Topic(overview, tuple(facts(0, 1, 2, 3)))])
    assert (plan.retired, plan.metadata["facts"]) == (False, 3)


def _fields(fact: KnownFact) -> dict:
    return {name: getattr(fact, name) for name in KnownFact.__slots__}
