"""The scratch state: what each operation does, and that whatever is done keeps bound, ids and earlier revisions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from memsvc.errors import ConflictError, InvalidRequestError, MemsvcError
from memsvc.store.scratch import Entry
from memsvc.text.tokens import estimate_tokens
from memsvc.upkeep import scratch
from memsvc.upkeep.scratch import Draft, State, Step


def state_of(*entries: tuple[str, str], limit: int = 20, pinned: tuple[str, ...] = ()) -> State:
    made = tuple(Entry(name, content, name in pinned, (), 1) for name, content in entries)
    return State(made, revision=1, token_limit=limit)


def shown(step: Step | State) -> list[tuple[str, str]]:
    state = step.state if isinstance(step, Step) else step
    return [(entry.id, entry.content) for entry in state.entries]


FULL = state_of(("a", "a" * 32), ("b", "b" * 32), ("c", "c" * 16))  # 8 + 8 + 4 tokens of 20


def test_what_is_written_goes_to_the_end_and_gets_an_id() -> None:
    step = scratch.write(state_of(("a", "One.")), [Draft("Two."), Draft("Three.", "three", pinned=True)], evict=False)
    assert shown(step) == [("a", "One."), ("2.1", "Two."), ("three", "Three.")]
    assert [(entry.pinned, entry.revision) for entry in step.state.entries] == [(False, 1), (False, 2), (True, 2)]
    assert (step.state.revision, step.evicted, step.pruned) == (2, (), ())


def test_an_id_that_is_given_is_never_one_that_is_taken() -> None:
    step = scratch.write(state_of(("2.1", "Taken.")), [Draft("Two."), Draft("Three.", "2.1.2")], evict=False)
    assert shown(step) == [("2.1", "Taken."), ("2.1.3", "Two."), ("2.1.2", "Three.")]


def test_what_passes_the_bound_is_refused_with_how_much_to_prune() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        scratch.write(FULL, [Draft("d" * 12)], evict=False)
    (fault,) = refused.value.fields
    assert (fault.field, fault.problem) == ("entries", "would bring the scratch to 23 tokens of 20")
    assert "Prune 3 tokens more" in fault.remedy
    assert "on_overflow" in fault.remedy


def test_the_oldest_that_is_not_pinned_makes_room() -> None:
    step = scratch.write(FULL, [Draft("d" * 12, "d")], evict=True)
    assert ([entry.id for entry in step.state.entries], step.evicted) == (["b", "c", "d"], ("a",))
    held = state_of(*shown(FULL), pinned=("a",))
    step = scratch.write(held, [Draft("d" * 40, "d")], evict=True)
    assert ([entry.id for entry in step.state.entries], step.evicted) == (["a", "d"], ("b", "c"))
    with pytest.raises(InvalidRequestError, match="to 21 tokens of 20"):
        scratch.write(held, [Draft("d" * 52, "d")], evict=True)


def test_rewriting_replaces_all_or_what_is_named() -> None:
    before = state_of(("a", "One."), ("b", "Two."), ("c", "Three."), pinned=("b",))
    named = scratch.rewrite(before, [Draft("Three!", "c"), Draft("Two!", "b", pinned=None)], whole=False, evict=False)
    assert shown(named) == [("a", "One."), ("b", "Two!"), ("c", "Three!")]
    assert [(entry.pinned, entry.revision) for entry in named.state.entries] == [(False, 1), (True, 2), (False, 2)]
    whole = scratch.rewrite(before, [Draft("New."), Draft("One.", "a")], whole=True, evict=False)
    assert shown(whole) == [("2.1", "New."), ("a", "One.")]
    assert [entry.revision for entry in whole.state.entries] == [2, 1]
    assert shown(scratch.rewrite(before, [], whole=True, evict=False)) == []


def test_a_summary_takes_the_place_of_what_is_pruned_and_remembers_it() -> None:
    before = state_of(("a", "One."), ("b", "Two."), ("c", "Three."), ("d", "Four."))
    step = scratch.prune(before, ["d", "b"], Draft("Two and four.", "s"))
    assert shown(step) == [("a", "One."), ("s", "Two and four."), ("c", "Three.")]
    assert (step.state.entries[1].pruned, step.pruned) == (("d", "b"), ("d", "b"))
    again = scratch.prune(step.state, ["a", "s"], Draft("One to four.", "t"))
    assert (shown(again), again.state.entries[0].pruned) == ([("t", "One to four."), ("c", "Three.")], ("a", "s"))


def test_a_summary_that_is_longer_than_what_it_replaces_has_to_fit() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        scratch.prune(FULL, ["c"], Draft("s" * 24))
    (fault,) = refused.value.fields
    assert (fault.field, "2 tokens shorter" in fault.remedy) == ("summary", True)


@pytest.mark.parametrize(
    ("apply", "error", "field"),
    [
        (lambda s: scratch.write(s, [Draft("x", "a")], evict=True), ConflictError, "entries[0].id"),
        (lambda s: scratch.write(s, [Draft("x"), Draft("x", "gone")], evict=True), ConflictError, "entries[1].id"),
        (lambda s: scratch.write(s, [Draft("x", "n"), Draft("y", "n")], evict=True), InvalidRequestError, "entries"),
        (lambda s: scratch.rewrite(s, [Draft("x")], whole=False, evict=True), InvalidRequestError, "entries[0].id"),
        (lambda s: scratch.rewrite(s, [Draft("x", "n")], whole=False, evict=True), ConflictError, "entries[0].id"),
        (
            lambda s: scratch.rewrite(s, [Draft("x", "gone"), Draft("y", "s")], whole=True, evict=True),
            ConflictError,
            "entries[0].id",
        ),
        (lambda s: scratch.prune(s, ["a", "n"], Draft("x")), ConflictError, "ids[1]"),
        (lambda s: scratch.prune(s, ["a", "a"], Draft("x")), InvalidRequestError, "ids"),
        (lambda s: scratch.prune(s, ["a"], Draft("x", "s")), ConflictError, "id"),
    ],
)
def test_what_cannot_be_done_is_refused_by_field(apply: object, error: type[MemsvcError], field: str) -> None:
    before = State((Entry("a", "One.", False, (), 1), Entry("s", "Sum.", False, ("gone",), 1)), 1, 100)
    with pytest.raises(error) as refused:
        apply(before)
    assert [fault.field for fault in refused.value.fields] == [field]


def test_what_was_pruned_can_come_back_in_the_place_of_its_summary() -> None:
    before = State((Entry("s", "Sum.", False, ("gone",), 1),), 1, 100)
    assert shown(scratch.rewrite(before, [Draft("x", "gone")], whole=True, evict=False)) == [("gone", "x")]


def test_a_smaller_bound_lets_the_oldest_go_or_is_refused() -> None:
    assert scratch.limit(FULL, 20, evict=False) is None
    with pytest.raises(InvalidRequestError, match="token_limit would bring the scratch to 20 tokens of 19"):
        scratch.limit(FULL, 19, evict=False)
    step = scratch.limit(FULL, 12, evict=True)
    assert step is not None
    assert ([entry.id for entry in step.state.entries], step.evicted, step.state.token_limit) == (
        ["b", "c"],
        ("a",),
        12,
    )


def test_a_difference_names_what_came_changed_and_went() -> None:
    before = state_of(("a", "One."), ("b", "Two."), ("c", "Three."))
    after = scratch.rewrite(before, [Draft("Two!", "b"), Draft("Four."), Draft("Three.", "c")], whole=True, evict=False)
    found = scratch.compare(before.entries, after.state.entries)
    assert [entry.id for entry in found.added] == ["2.2"]
    assert [entry.id for entry in found.changed] == ["b"]
    assert found.removed == ("a",)


contents = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=60)
names = st.none() | st.sampled_from(["a", "b", "c", "1.1", "2.1", "3.2"])
drafts = st.builds(Draft, contents, names, st.sampled_from([None, True, False]))


class Twin:
    """The same rules said plainly: contents in a dictionary, which keeps the order."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.contents: dict[str, str] = {}
        self.pinned: set[str] = set()
        self.inside: dict[str, tuple[str, ...]] = {}

    def fits(self, contents: dict[str, str]) -> bool:
        return sum(map(estimate_tokens, contents.values())) <= self.limit

    def settle(self, contents: dict[str, str], fresh: set[str], *, evict: bool) -> bool:
        """Make `contents` the state if it can be made to fit; whether it could."""
        for name in list(contents):
            if evict and not self.fits(contents) and name not in fresh | self.pinned:
                del contents[name]
        if not self.fits(contents):
            return False
        self.contents = contents
        self.pinned &= contents.keys()
        self.inside = {name: ids for name, ids in self.inside.items() if name in contents}
        return True


class Scratch(RuleBasedStateMachine):
    """Any sequence of operations, beside the twin; what one refuses, the other cannot do."""

    @initialize(limit=st.integers(4, 40))
    def start(self, limit: int) -> None:
        self.states = [State(token_limit=limit)]
        self.steps: list[object] = []
        self.twin = Twin(limit)

    def apply(self, operation: object) -> Step | None:
        try:
            step = operation(self.states[-1])
        except (ConflictError, InvalidRequestError):
            return None
        if step is not None:
            self.states.append(step.state)
            self.steps.append(operation)
        return step

    @rule(written=st.lists(drafts, min_size=1, max_size=4), evict=st.booleans())
    def write(self, written: list[Draft], evict: bool) -> None:
        step = self.apply(lambda state: scratch.write(state, written, evict=evict))
        given = [draft.id for draft in written if draft.id is not None]
        taken = {*self.twin.contents, *(one for ids in self.twin.inside.values() for one in ids)}
        possible = len(set(given)) == len(given) and not taken.intersection(given)
        ids = [entry.id for entry in self.states[-1].entries][-len(written) :]
        if possible and step is not None:
            pinned = self.twin.pinned | {one for one, draft in zip(ids, written, strict=True) if draft.pinned}
            self.twin.pinned = pinned
            fresh = {one: draft.content for one, draft in zip(ids, written, strict=True)}
            assert self.twin.settle({**self.twin.contents, **fresh}, set(fresh), evict=evict)
        elif possible:
            fresh = {f"new {place}": draft.content for place, draft in enumerate(written)}
            assert not Twin.settle(self._copy(), {**self.twin.contents, **fresh}, set(fresh), evict=evict)
        else:
            assert step is None

    @rule(data=st.data(), text=contents, evict=st.booleans())
    def rewrite_one(self, data: st.DataObject, text: str, evict: bool) -> None:
        name = data.draw(st.sampled_from([*self.twin.contents, "nobody"]))
        step = self.apply(lambda state: scratch.rewrite(state, [Draft(text, name)], whole=False, evict=evict))
        if name == "nobody":
            assert step is None
        else:
            assert self.twin.settle({**self.twin.contents, name: text}, {name}, evict=evict) == (step is not None)

    @rule(written=st.lists(st.builds(Draft, contents), max_size=3))
    def rewrite_all(self, written: list[Draft]) -> None:
        step = self.apply(lambda state: scratch.rewrite(state, written, whole=True, evict=False))
        fresh = [draft.content for draft in written]
        if step is None:
            assert not self.twin.fits({str(place): text for place, text in enumerate(fresh)})
        else:
            ids = [entry.id for entry in step.state.entries]
            assert self.twin.settle(dict(zip(ids, fresh, strict=True)), set(), evict=False)

    @rule(data=st.data(), text=contents)
    def prune(self, data: st.DataObject, text: str) -> None:
        if not self.twin.contents:
            return
        ids = data.draw(st.lists(st.sampled_from(list(self.twin.contents)), min_size=1, max_size=3, unique=True))
        step = self.apply(lambda state: scratch.prune(state, ids, Draft(text)))
        first = next(name for name in self.twin.contents if name in ids)
        made = "" if step is None else next(entry.id for entry in step.state.entries if entry.pruned == tuple(ids))
        left = {
            (made if name == first else name): (text if name == first else content)
            for name, content in self.twin.contents.items()
            if name == first or name not in ids
        }
        assert self.twin.settle(left, set(), evict=False) == (step is not None)
        if step is not None:
            self.twin.inside[made] = tuple(ids)

    @rule(limit=st.integers(4, 40), evict=st.booleans())
    def bound(self, limit: int, evict: bool) -> None:
        before, self.twin.limit = self.twin.limit, limit
        fitted = self.twin.settle(dict(self.twin.contents), set(), evict=evict)
        step = self.apply(lambda state: scratch.limit(state, limit, evict=evict))
        if not fitted:
            assert step is None
            self.twin.limit = before
        elif step is None:  # it fits as it is: the bound alone is new
            self.states[-1] = State(self.states[-1].entries, self.states[-1].revision, limit)

    def _copy(self) -> Twin:
        copy = Twin(self.twin.limit)
        copy.pinned = set(self.twin.pinned)
        return copy

    @invariant()
    def the_state_is_that_of_the_twin(self) -> None:
        if hasattr(self, "states"):
            assert dict(shown(self.states[-1])) == self.twin.contents
            assert list(self.twin.contents) == [entry.id for entry in self.states[-1].entries]
            assert {entry.id: entry.pruned for entry in self.states[-1].entries if entry.pruned} == self.twin.inside

    @invariant()
    def the_bound_holds_and_ids_are_unique(self) -> None:
        if hasattr(self, "states"):
            state = self.states[-1]
            ids = [one for entry in state.entries for one in (entry.id, *entry.pruned)]
            assert state.tokens <= state.token_limit
            assert len(set(ids)) == len(ids)

    @invariant()
    def revisions_count_up_and_each_is_still_what_it_was(self) -> None:
        if hasattr(self, "states"):
            assert [state.revision for state in self.states] == list(range(len(self.states)))
            for before, after, operation in zip(self.states, self.states[1:], self.steps, strict=False):
                step = operation(before)
                assert (step.state.entries, step.state.revision) == (after.entries, after.revision)
                difference = scratch.compare(before.entries, after.entries)
                kept = {entry.id: entry for entry in before.entries if entry.id not in difference.removed}
                changed = {entry.id: entry for entry in (*difference.changed, *difference.added)}
                assert {entry.id: entry for entry in after.entries} == kept | changed


TestScratch = Scratch.TestCase
TestScratch.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)


@given(contents)
def test_a_text_is_never_free(text: str) -> None:
    assert estimate_tokens(text) >= 1
