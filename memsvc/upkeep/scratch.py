"""An agent's working memory: a state of entries that never passes its bound, and operations that edit it. Pure.

From MEM1 (a state of constant size, written anew each turn) and Memory-as-Action (the agent itself prunes what it no
longer needs, by the ids of entries, and puts a summary in their place). Each operation gives the next revision; none
changes an earlier one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from memsvc.errors import ConflictError, FieldError, InvalidRequestError
from memsvc.store.scratch import Entry
from memsvc.text.tokens import estimate_tokens

DEFAULT_TOKENS = 2048
# What to do about `over` tokens too many, by the field at fault.
_REMEDIES = {
    "entries": "Prune {over} tokens more than their summary takes, write less, or raise the scratch's `token_limit`.",
    "summary": "Send a summary that is {over} tokens shorter, or prune more entries into it.",
    "token_limit": "Prune {over} tokens more than their summary takes first.",
}
_OR_EVICT = ' With "on_overflow": "evict" the oldest entries make room by themselves.'


@dataclass(frozen=True, slots=True)
class State:
    """The entries of one revision, in their order; `revision` 0 is the state before anything was written."""

    entries: tuple[Entry, ...] = ()
    revision: int = 0
    token_limit: int = DEFAULT_TOKENS

    @property
    def tokens(self) -> int:
        """Of all contents, as `text.tokens` estimates them."""
        return count_tokens(self.entries)


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry to write; without an id it gets one, and without `pinned` it is as before, or not pinned."""

    content: str
    id: str | None = None
    pinned: bool | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The state after an operation, and the ids of the entries that it pruned, and that had to make room."""

    state: State
    pruned: tuple[str, ...] = ()
    evicted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """From one state to another, by id: entries that came, that are not what they were, and that went."""

    added: tuple[Entry, ...]
    changed: tuple[Entry, ...]
    removed: tuple[str, ...]


def count_tokens(entries: Iterable[Entry]) -> int:
    """The tokens of their contents."""
    return sum(estimate_tokens(entry.content) for entry in entries)


def write(state: State, drafts: Sequence[Draft], *, evict: bool) -> Step:
    """Append entries. `evict`: the oldest that are not pinned make room, else what does not fit is refused.

    `ConflictError` for an id that is taken, also by an entry that was pruned into a summary which is still there.
    """
    taken = {entry.id for entry in state.entries} | {one for entry in state.entries for one in entry.pruned}
    _check_distinct(drafts)
    for place, draft in enumerate(drafts):
        if draft.id in taken:
            remedy = "Choose another id, or change that entry with rewrite."
            _conflict(f"entries[{place}].id", f"{draft.id!r} is taken in this scratch", remedy)
    added = _number(drafts, state.revision + 1, taken)
    return _fit(state, [*state.entries, *added], fresh={entry.id for entry in added}, evict=evict)


def rewrite(state: State, drafts: Sequence[Draft], *, whole: bool, evict: bool) -> Step:
    """Replace the whole state, or (`whole` False) the contents of the entries that the drafts name.

    An entry whose id is kept remembers what was pruned into it. `ConflictError` for an id that is not there when only
    some are replaced.
    """
    before = {entry.id: entry for entry in state.entries}
    _check_distinct(drafts)
    if not whole:
        for place, draft in enumerate(drafts):
            if draft.id is None:
                _refuse(f"entries[{place}].id", "is missing", "Name the entry, or replace the whole state.")
            if draft.id not in before:
                _conflict(f"entries[{place}].id", f"there is no entry {draft.id!r}", "GET the scratch, and name one.")
    kept = {draft.id for draft in drafts}
    inside = {one for entry in state.entries if not whole or entry.id in kept for one in entry.pruned}
    for place, draft in enumerate(drafts):
        if draft.id in inside:
            remedy = "Choose another id, or leave that summary out as well."
            _conflict(f"entries[{place}].id", f"{draft.id!r} was pruned into a summary that stays", remedy)
    taken = {*before, *(one for entry in state.entries for one in entry.pruned)}
    numbered = _number(drafts, state.revision + 1, taken)
    written = {
        entry.id: _rewritten(before.get(entry.id), entry, draft) for entry, draft in zip(numbered, drafts, strict=True)
    }
    entries = list(written.values()) if whole else [written.get(entry.id, entry) for entry in state.entries]
    return _fit(state, entries, fresh=written.keys(), evict=evict)


def prune(state: State, ids: Sequence[str], summary: Draft) -> Step:
    """Put one summary in the place of the first of these entries; it remembers their ids.

    `ConflictError` for an id that is not there or taken; what the summary would make too large is refused.
    """
    there = {entry.id for entry in state.entries}
    for place, each in enumerate(ids):
        if each not in there:
            _conflict(f"ids[{place}]", f"there is no entry {each!r}", "GET the scratch, and name entries that it has.")
    gone = set(ids)
    if len(gone) < len(ids):
        _refuse("ids", "names an entry twice", "Name each entry once.")
    taken = there | {one for entry in state.entries for one in entry.pruned}
    if summary.id in taken:
        _conflict("id", f"{summary.id!r} is taken in this scratch", "Choose another id for the summary, or none.")
    made = replace(_number([summary], state.revision + 1, taken)[0], pruned=tuple(ids))
    first = next(place for place, entry in enumerate(state.entries) if entry.id in gone)
    entries = [entry for entry in state.entries if entry.id not in gone]
    entries.insert(first, made)
    return replace(_fit(state, entries, fresh={made.id}, evict=False, field="summary"), pruned=tuple(ids))


def limit(state: State, token_limit: int, *, evict: bool) -> Step | None:
    """Bound the state by so many tokens; None when it fits as it is, so that no new revision is needed."""
    bounded = replace(state, token_limit=token_limit)
    if bounded.tokens <= token_limit:
        return None
    return _fit(bounded, list(state.entries), fresh=(), evict=evict, field="token_limit")


def compare(before: Sequence[Entry], after: Sequence[Entry]) -> Difference:
    """What an operation did, seen from outside."""
    old, new = {entry.id: entry for entry in before}, {entry.id for entry in after}
    return Difference(
        added=tuple(entry for entry in after if entry.id not in old),
        changed=tuple(entry for entry in after if entry.id in old and entry != old[entry.id]),
        removed=tuple(entry.id for entry in before if entry.id not in new),
    )


def _number(drafts: Sequence[Draft], revision: int, taken: Iterable[str]) -> list[Entry]:
    """The drafts as entries; those without an id are called after the revision and their place in it."""
    used = {*taken, *(draft.id for draft in drafts if draft.id is not None)}
    entries = []
    for place, draft in enumerate(drafts, 1):
        found = draft.id
        if found is None:
            found, turn = f"{revision}.{place}", 1
            while found in used:
                turn += 1
                found = f"{revision}.{place}.{turn}"
            used.add(found)
        entries.append(Entry(found, draft.content, bool(draft.pinned), (), revision))
    return entries


def _rewritten(before: Entry | None, entry: Entry, draft: Draft) -> Entry:
    if before is None:
        return entry
    pinned = before.pinned if draft.pinned is None else draft.pinned
    revision = before.revision if before.content == entry.content else entry.revision
    return replace(entry, pinned=pinned, pruned=before.pruned, revision=revision)


def _fit(state: State, entries: list[Entry], *, fresh: Iterable[str], evict: bool, field: str = "entries") -> Step:
    """The next revision with these entries; none of the `fresh` ones makes room for others."""
    over = count_tokens(entries) - state.token_limit
    evicted: list[str] = []
    if over > 0 and evict:
        kept = set(fresh)
        for entry in entries:
            if over > 0 and not entry.pinned and entry.id not in kept:
                over -= estimate_tokens(entry.content)
                evicted.append(entry.id)
    if over > 0:
        problem = f"would bring the scratch to {state.token_limit + over} tokens of {state.token_limit}"
        _refuse(field, problem, _REMEDIES[field].format(over=over) + ("" if evict or field == "summary" else _OR_EVICT))
    left = tuple(entry for entry in entries if entry.id not in evicted)
    return Step(replace(state, entries=left, revision=state.revision + 1), evicted=tuple(evicted))


def _check_distinct(drafts: Sequence[Draft]) -> None:
    named = [draft.id for draft in drafts if draft.id is not None]
    if len(set(named)) < len(named):
        _refuse("entries", "gives two entries one id", "Give each entry an id of its own, or none.")


def _refuse(field: str, problem: str, remedy: str) -> NoReturn:
    raise InvalidRequestError(f"{field} {problem}", fields=(FieldError(field, problem, remedy),), remedy=remedy)


def _conflict(field: str, problem: str, remedy: str) -> NoReturn:
    raise ConflictError(problem, fields=(FieldError(field, problem, remedy),), remedy=remedy)
