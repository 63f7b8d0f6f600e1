"""What follows from new facts: learned, linked, replaced, outdated, adopted, or only said back."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from memsvc.ids import MemoryId, PrincipalId, SessionId
from memsvc.store.learning import Known, Read
from memsvc.upkeep.deciding import Plan, decide
from memsvc.upkeep.learning import RULES, Draft, facts_of, listen, wanted_by

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ANN, BOB = PrincipalId(UUID(int=1)), PrincipalId(UUID(int=2))


def read(
    content: str,
    *,
    day: int,
    role: str = "user",
    name: str | None = "Ann",
    visibility: str = "space",
    principal: PrincipalId = ANN,
    session: int = 500,
) -> Read:
    at = START + timedelta(days=day)
    return Read(
        operation=day + 500,
        id=MemoryId(uuid4()),
        number=day + 500,
        content_number=1,
        version=1,
        kind="turn",
        payload_type="plaintext",
        origin="user_input",
        role=role,
        name=name,
        session_id=SessionId(UUID(int=day + session)),
        position=0,
        content=content,
        occurred_at=at,
        occurred_zone="UTC",
        recorded_at=at,
        state="generated",
        superseded=False,
        visibility=visibility,
        principal_id=principal,
        sensitivity="normal",
        importance=0.5,
        trust=0.5,
        expires_at=None,
    )


def drafts(*reads: Read) -> list[Draft]:
    return [
        Draft(MemoryId(uuid4()), heard.read, fact, RULES, own=False)
        for heard in listen(reads, [])
        for fact in facts_of(heard)
    ]


def known(draft: Draft, *, frozen: bool = False) -> Known:
    fact, claim = draft.fact, draft.claim
    return Known(
        id=draft.id,
        version=3,
        content=fact.text,
        subject=fact.subject,
        attribute=fact.attribute,
        value=fact.value,
        negated=fact.negated,
        confidence=fact.confidence,
        fingerprint=draft.fingerprint,
        said_at=claim.said_at,
        said_number=claim.number,
        session_id=draft.source.session_id,
        speaker=claim.speaker,
        visibility=draft.source.visibility,
        principal_id=draft.source.principal_id,
        kind=draft.kind,
        frozen=frozen,
        own=False,
    )


def one(content: str, *, day: int = 0, **given: object) -> Draft:
    [draft] = drafts(read(content, day=day, **given))  # type: ignore[arg-type]
    return draft


def replaced(plan: Plan, facts: Sequence[Draft]) -> list[tuple[str, str]]:
    text = {fact.id: fact.fact.text for fact in (*facts, *plan.new)}
    return [(text[pair.old_id], text[pair.new_id]) for pair in plan.replaced]


def test_a_later_value_replaces_an_earlier_one_whatever_the_words() -> None:
    first, second = one("My locker code is 3310."), one("The code for my locker is 8812 now, 3310 is void.", day=9)
    plan = decide([second], [known(first)])
    assert replaced(plan, [first]) == [
        ("Ann's locker code is 3310", "The code for Ann's locker is 8812 now, 3310 is void")
    ]
    assert plan.replaced[0].at == START + timedelta(days=9)
    assert dict(plan.versions) == {first.id: 3}


def test_within_one_run_as_well() -> None:
    facts = drafts(read("I live in Graz.", day=0), read("We've left Graz and settled in Linz.", day=9))
    plan = decide(facts, [])
    assert len(plan.new) == 2
    assert [pair.finding.reason for pair in plan.replaced] == ["said to be over"]


def test_what_was_said_earlier_is_learned_as_over() -> None:
    current, past = one("I live in Linz.", day=30), one("I live in Graz.", day=2)
    plan = decide([past], [known(current)])
    assert plan.new == (past,)
    [pair] = plan.replaced
    assert (pair.old_id, pair.new_id, pair.at) == (past.id, current.id, current.claim.said_at)
    assert dict(plan.versions) == {current.id: 3}


def test_the_first_that_came_after_it_took_its_place() -> None:
    facts = [known(one("I live in Linz.", day=30))]
    middle = one("I live in Wels.", day=20)
    plan = decide([one("I live in Graz.", day=2), middle], facts)
    assert [(pair.old_id == middle.id, pair.new_id == middle.id) for pair in plan.replaced] == [
        (False, True),
        (True, False),
    ]


def test_a_denial_ends_what_it_denies() -> None:
    first, second = one("I work for Helvar."), one("I don't work for Helvar any more.", day=9)
    plan = decide([second], [known(first)])
    assert [pair.old_id for pair in plan.replaced] == [first.id]


def test_what_is_closed_ends_whatever_its_value() -> None:
    first, second = one("My car is a red Panda."), one("I sold my car.", day=9)
    assert [pair.old_id for pair in decide([second], [known(first)]).replaced] == [first.id]


def test_a_change_of_something_is_about_what_it_ends() -> None:
    first, second = one("My parking spot is B2."), one("They moved me from B2 to C9 in the garage.", day=9)
    plan = decide([second], [known(first)])
    assert [(fact.fact.attribute, fact.fact.subject) for fact in plan.new] == [("parking spot", "ann")]
    assert [pair.old_id for pair in plan.replaced] == [first.id]


def test_what_says_the_same_is_linked_and_still_ends_what_it_names() -> None:
    linz, graz = one("I live in Linz.", day=2), one("I live in Graz.", day=1)
    again = one("I live in Linz, we left Graz.", day=9)
    plan = decide([again], [known(linz), known(graz)])
    assert [link.known_id for link in plan.links] == [linz.id]
    assert [(pair.old_id, pair.new_id) for pair in plan.replaced] == [(graz.id, linz.id)]
    assert plan.new == ()


def test_told_by_somebody_else_a_thing_changes_too() -> None:
    first = one("The budget for Atlas is 40,000 dollars.")
    second = one("finance changed the Atlas budget to 55,000 dollars", day=9, name="Bob")
    assert [pair.old_id for pair in decide([second], [known(first)]).replaced] == [first.id]


def test_the_other_speaker_tells_of_himself() -> None:
    first, second = one("I live in Graz."), one("I live in Linz.", day=9, name="Bob")
    plan = decide([second], [known(first)])
    assert (plan.replaced, plan.conflicts) == ((), ())


@pytest.mark.parametrize(("visibility", "ended"), [("private", 0), ("space", 1)])
def test_what_is_private_bears_on_nothing_shared(visibility: str, ended: int) -> None:
    first, second = one("I live in Graz."), one("I live in Linz.", day=9, visibility=visibility)
    assert len(decide([second], [known(first)]).replaced) == ended


def test_one_persons_private_facts_are_not_anothers() -> None:
    first = one("The budget for Atlas is 40,000 dollars.", visibility="private", principal=ANN)
    second = one("The budget for Atlas is 55,000 dollars.", day=9, visibility="private", principal=BOB)
    assert decide([second], [known(first)]).replaced == ()


def test_a_frozen_fact_is_not_replaced() -> None:
    first, second = one("I live in Graz."), one("I live in Linz.", day=9)
    plan = decide([second], [known(first, frozen=True)])
    assert plan.replaced == ()
    assert [pair.old_id for pair in plan.conflicts] == [first.id]


def test_at_one_moment_both_stay_as_a_conflict() -> None:
    first, second = one("My locker code is 3310."), one("My locker code is 8812.", session=900)
    plan = decide([second], [known(first)])
    assert plan.replaced == ()
    assert [(pair.old_id, pair.new_id) for pair in plan.conflicts] == [(first.id, second.id)]


def test_an_echo_of_what_is_over_revives_nothing() -> None:
    over, current = one("Atlas is blocked.", day=1), one("Atlas is on hold now.", day=5)
    echo = one("Atlas is blocked.", day=9, name="Bob")
    plan = decide([echo], [known(current)], [known(over)])
    assert plan.new == ()
    assert plan.replaced == ()
    assert [(link.known_id, link.echo) for link in plan.links] == [(over.id, True)]


@pytest.mark.parametrize(("content", "name"), [("Atlas is blocked.", "Ann"), ("Atlas is blocked again now.", "Bob")])
def test_who_said_it_or_tells_of_a_change_may_say_it_again(content: str, name: str) -> None:
    over, current = one("Atlas is blocked.", day=1), one("Atlas is on hold now.", day=5)
    plan = decide([one(content, day=9, name=name)], [known(current)], [known(over)])
    assert [pair.old_id for pair in plan.replaced] == [current.id]


def test_an_assistant_that_gives_words_back_tells_nothing() -> None:
    said = one("I reserved a table at Bitzinger.", name=None)
    back = one("I reserved a table at Bitzinger.", day=3, name=None, role="assistant")
    assert back.fact.subject == "the assistant"
    plan = decide([back], [known(said)])
    assert plan.new == ()
    assert [(link.known_id, link.echo) for link in plan.links] == [(said.id, True)]


def test_what_must_be_known_to_decide() -> None:
    wanted = wanted_by(drafts(read("I sold my car and moved from Graz to Linz.", day=0)))
    assert ("ann", "car") in wanted.matters
    assert ("ann", "graz") in wanted.over
    assert ("ann and others", "graz") in wanted.over
    assert len(wanted.fingerprints) >= 1
    assert wanted_by([]).matters == []
