"""Why evidence is missed: a reason class for each question, by rules, and a gallery of the worst.

The gallery quotes the data. It is written beside the other results and never into the documents of the project.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from evals import metrics
from evals.ablate_figures import ORACLE_K
from evals.corpus import Conversation, Question, Turn
from memsvc.text.analysis import analyze

GALLERY = 30
FIRST = 10
_QUOTED = 100
_SHOWN_HITS = 5
_MANY = 3  # pieces of evidence: no single turn answers
_REPLY_WORDS = 15
_OTHER = "other"

_ORDER = re.compile(
    r"\b(?:order|sequence|chronolog\w*|timeline|before|after|first|last|latest|earliest|since|until|when|"
    r"how long|how (?:many|much) (?:days?|weeks?|months?|years?|time)|what (?:day|date|month|year|time)|"
    r"over time|throughout|evolv\w*|progress\w*|chang(?:e|ed|es|ing)|develop(?:ed|ment|s)?)\b"
)
_LIST = re.compile(
    r"\b(?:how (?:many|much|often)|number of|total|count|list|all (?:the|of|my)|each|every|various|types?|kinds?|both|"
    r"summar\w*|overview|compare|in common|what (?:\w+ ){0,2}(?:are|were|do|does|did|have|has)\b.*s\b|which \w+s)\b"
)
_STANDING = re.compile(
    r"\b(?:always|never)\b[^\n]{0,160}\b(?:when(?:ever)?|if|(?:every|each) time) (?:i|we)\b|\bfrom now on\b|"
    r"\b(?:when(?:ever)?|(?:every|each) time) (?:i|we) (?:ask|mention|request|want|need|talk|discuss)\b|"
    r"\bi(?:'d| would)? (?:\w+ )?prefer\b|\bplease (?:always|never|remember)\b"
)
_ELSEWHERE = frozenset({"i", "you", "he", "she", "they", "we", "it"})


@dataclass(frozen=True)
class Case:
    """A question with what came back: `first` are the turns of the base's first results, "" where one is none.

    `deep` holds the turns of the oracle's results, and `texts` what its first ones say.
    """

    question: Question
    conversation: Conversation
    first: tuple[str, ...]
    deep: tuple[str, ...]
    texts: tuple[str, ...]

    @cached_property
    def recall(self) -> float:
        """Share of the evidence among the first ten."""
        return metrics.recall(self.first, self.question.gold_turns, FIRST)

    @cached_property
    def turns(self) -> Mapping[str, Turn]:
        """Of the conversation, by id."""
        return {turn.id: turn for turn in self.conversation.turns}

    @cached_property
    def missed(self) -> list[Turn]:
        """Evidence that is not among the first ten."""
        shown = set(self.first[:FIRST])
        return [self.turns[name] for name in self.question.gold_turns if name not in shown and name in self.turns]

    @cached_property
    def hits(self) -> list[Turn]:
        """The turns among the first ten that are no evidence."""
        gold = set(self.question.gold_turns)
        return [self.turns[name] for name in self.first[:FIRST] if name and name not in gold]

    @cached_property
    def ranks(self) -> dict[str, int | None]:
        """The rank of each piece of evidence among the oracle's results, None where it is not there."""
        places = {name: rank for rank, name in enumerate(self.deep, start=1) if name}
        return {name: places.get(name) for name in self.question.gold_turns}

    def shares(self, turn: Turn) -> int:
        """How many of the question's terms it holds."""
        return len(self.terms & set(analyze(turn.content)))

    @cached_property
    def terms(self) -> set[str]:
        """Of the question, without its stop words."""
        return set(analyze(self.question.text))

    def previous(self, turn: Turn) -> Turn | None:
        """The turn before it in its session."""
        place = next(n for n, other in enumerate(self.conversation.turns) if other.id == turn.id)
        before = self.conversation.turns[place - 1] if place else None
        return before if before is not None and before.session == turn.session else None


@dataclass(frozen=True, slots=True)
class Reason:
    """A class, what it says, and the rule that finds it."""

    name: str
    meaning: str
    holds: Callable[[Case], bool]


def _absent(case: Case) -> bool:
    absent = [turn for turn in case.missed if case.ranks.get(turn.id) is None]
    return 2 * len(absent) >= len(case.missed)


def _standing(case: Case) -> bool:
    return any(turn.role == "user" and _STANDING.search(turn.content.lower()) for turn in case.missed) and not any(
        case.shares(turn) > 1 for turn in case.missed
    )


def _ordered(case: Case) -> bool:
    return _ORDER.search(case.question.text.lower()) is not None


def _listed(case: Case) -> bool:
    many = len(case.question.gold_turns) >= _MANY
    return many or _LIST.search(case.question.text.lower()) is not None


def _elliptical(case: Case) -> bool:
    for turn in case.missed:
        before = case.previous(turn)
        short = len(turn.content.split()) <= _REPLY_WORDS
        if short and before is not None and case.shares(before) > case.shares(turn):
            return True
    return False


def _named(case: Case) -> bool:
    words = set(re.findall(r"\w+", case.question.text.lower())) - _ELSEWHERE
    names = {turn.name for turn in case.conversation.turns if turn.name}
    named = {name for name in names if words & set(name.lower().split())}
    return bool(named) and any(turn.name not in named for turn in case.missed)


def _wordless(case: Case) -> bool:
    return not any(case.shares(turn) for turn in case.missed)


def _other_session(case: Case) -> bool:
    sessions = set(case.question.gold_sessions)
    least = max((case.shares(turn) for turn in case.missed), default=0)
    elsewhere = [turn for turn in case.hits if turn.session not in sessions]
    return 2 * len(elsewhere) >= len(case.hits) > 0 and any(case.shares(turn) >= least for turn in elsewhere)


def _same_session(case: Case) -> bool:
    sessions = {turn.session for turn in case.missed}
    return any(turn.session in sessions for turn in case.hits)


REASONS: tuple[Reason, ...] = (
    Reason(
        f"not among {ORACLE_K} candidates", f"half or more of the missed evidence is not in {ORACLE_K} results", _absent
    ),
    Reason(
        "standing instruction",
        "the evidence tells what to do always, in words of its own, not the question's",
        _standing,
    ),
    Reason("asks about order or over time", "when, how long, first or last, before or after, what changed", _ordered),
    Reason("list or count", f"how many, all of something, or {_MANY} and more pieces of evidence", _listed),
    Reason("elliptical reply", "a short turn; the one before it holds more of the question's words", _elliptical),
    Reason(
        "named person other than speaker", "the question names a speaker, and someone else said the evidence", _named
    ),
    Reason("no word in common", "the missed evidence holds no word of the question but stop words", _wordless),
    Reason(
        "other session's paraphrase",
        "half or more of what comes first is of other sessions, in as many words of the question",
        _other_session,
    ),
    Reason("other turn of the session", "the session is found, by another turn than the evidence", _same_session),
    Reason(_OTHER, "none of these", lambda _: True),
)


def reasons(case: Case) -> list[str]:
    """All classes that hold, in the order of `REASONS`: the first of them is the case's own."""
    found = [reason.name for reason in REASONS if reason.holds(case)]
    return [name for name in found if name != _OTHER] or [_OTHER]


def count(cases: Sequence[Case]) -> dict[str, int]:
    """How many of the cases are of each class, in the order of `REASONS`."""
    counts = Counter(reasons(case)[0] for case in cases)
    return {reason.name: counts[reason.name] for reason in REASONS}


def count_all(cases: Sequence[Case]) -> dict[str, int]:
    """For how many of the cases each class holds, be it the first or not."""
    counts = Counter(name for case in cases for name in reasons(case))
    return {reason.name: counts[reason.name] for reason in REASONS}


def missing(cases: Sequence[Case]) -> list[Case]:
    """Those of which evidence is missed."""
    return [case for case in cases if case.missed]


def worst(cases: Sequence[Case], *, seed: int) -> list[Case]:
    """The gallery: lowest recall@10 first, equals in an order that the seed draws."""

    def key(case: Case) -> tuple[float, str]:
        return case.recall, hashlib.sha256(f"{seed}:{case.question.id}".encode()).hexdigest()

    return sorted(missing(cases), key=key)[:GALLERY]


def render(label: str, cases: Sequence[Case]) -> str:
    """The gallery as Markdown. It quotes the data set."""
    parts = [
        f"# {label}: the {len(cases)} worst questions",
        f"Quotes of evaluation data: not to be published with the project. Ranks are those among {ORACLE_K} results.",
    ]
    for number, case in enumerate(cases, start=1):
        first, *others = reasons(case)
        parts += [
            f"## {number}. {case.question.id} ({case.question.type})",
            f"**{_quote(case.question.text, None)}**",
            f"Reason: {first}." + (f" Also: {', '.join(others)}." if others else ""),
            f"recall@10 {case.recall:.2f}; evidence:",
            "\n".join(_evidence(case, name, rank) for name, rank in case.ranks.items()),
            "Came first:",
            "\n".join(
                f"{rank}. {_mark(case, rank)}{_quote(text)}"
                for rank, text in enumerate(case.texts[:_SHOWN_HITS], start=1)
            ),
        ]
    return "\n\n".join(parts) + "\n"


def _evidence(case: Case, name: str, rank: int | None) -> str:
    turn = case.turns.get(name)
    said = "" if turn is None else f": {turn.name or turn.role}, {turn.session}: {_quote(turn.content)}"
    return f"- {name}, rank {'-' if rank is None else rank}{said}"


def _mark(case: Case, rank: int) -> str:
    name = case.deep[rank - 1] if rank <= len(case.deep) else ""
    turn = case.turns.get(name)
    mark = "evidence, " if name in case.question.gold_turns else ""
    return f"({mark}{turn.name or turn.role}, {turn.session}) " if turn else "(no turn) "


def _quote(text: str, characters: int | None = _QUOTED) -> str:
    return " ".join(text.split())[:characters]
