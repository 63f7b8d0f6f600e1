"""Extractive summaries: the sentences that stand best for all that was said, each with its speaker, date and place.

Facility location (Lin and Bilmes, 2011): a sentence is worth what it adds to how well the chosen ones together resemble
every sentence that tells something, so that a theme is covered once and a repetition adds nothing. Chosen greedily by
worth for its length. Nothing is written that was not said; no model is needed, and the same input gives the same lines.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memsvc.extraction.model import Said
from memsvc.extraction.sentences import sentences
from memsvc.text.analysis import analyze
from memsvc.text.tokens import estimate_tokens

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]

# How much of what was said a summary may take, in tokens, and between which bounds.
SHARE, LEAST_TOKENS, MOST_TOKENS = 0.2, 40, 160
# A sentence of one turn and one of another are as alike as their words (this share) and their turns are.
WORDS_SHARE = 0.6
# Two sentences so alike say the same.
SAME = 0.75
# Worth is divided by tokens to this power: at 0 length would not matter, at 1 the shortest would win.
LENGTH_POWER = 0.5
# Beyond what it covers, a sentence is worth what it tells itself.
OWN_SHARE = 1.0
# Terms after which a sentence is as telling as one can be, and what a question is worth of a statement.
FULL_TERMS, ASKED = 10.0, 0.35
LEAST_TERMS = 2
SHORTEST_NAME = 3
# Below this a sentence greets or reacts, and is left out while another is there.
IDLE = 0.25
# Candidates are compared in pairs: past this many, those that tell the least are left out first.
MOST_CANDIDATES = 400

# Words of reactions and greetings, which tell nothing whatever the topic.
_CHATTER = frozenset(
    analyze(
        "hey hi hello bye thanks thank wow oh ah haha lol yeah yep okay sure great good nice cool awesome amazing glad "
        "fantastic wonderful lovely incredible perfect beautiful happy excited sorry welcome congrats congratulations "
        "absolutely definitely totally really agree sounds sound looks look think know see feel love way thing lot "
        "time day"
    )
)
_SPECIFIC = re.compile(r"(?<=[^\s.!?…\"“(] )[A-Z][\w’'-]+|\d[\d.,:/-]*")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a summary, which can be read by itself: characters [start, end) of turn `turn` (an index)."""

    turn: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What a line may be chosen from: its text, what of it was said, and the turn it is from."""

    text: str
    said: str
    turn: int


def summarize(turns: Sequence[Said], *, vectors: Vectors | None = None, most_tokens: int | None = None) -> list[Line]:
    """The lines that stand best for these turns, in their order, within `most_tokens`.

    Without `most_tokens`: a fifth of what was said, 40 to 160 tokens. `vectors` is float32[n, d], a unit vector a turn
    (NaN: none), and lets sentences in other words count as alike. One line at least, unless no turn has any words: a
    sentence that is longer than all of `most_tokens` is cut at a word.
    """
    total = sum(estimate_tokens(turn.content) for turn in turns)
    budget = most_tokens or round(min(MOST_TOKENS, max(LEAST_TOKENS, SHARE * total)))
    lines = [line for place, turn in enumerate(turns) for line in _lines(place, turn)]
    choices = [Choice(line.text, turns[line.turn].content[line.start : line.end], line.turn) for line in lines]
    names = {name for turn in turns for name in (turn.speaker, turn.listener) if name}
    chosen = select(choices, most_tokens=budget, vectors=vectors, names=names)
    if not chosen and lines:
        best = max(range(len(choices)), key=lambda place: (telling(choices[place].said, names), -place))
        return [_shorten(lines[best], budget)]
    return [lines[place] for place in chosen]


def select(
    choices: Sequence[Choice], *, most_tokens: int, vectors: Vectors | None = None, names: Collection[str] = ()
) -> list[int]:
    """Which of these to keep, by their places, in order: together at most `most_tokens`.

    `vectors` is float32[n, d] by `turn`, as in `summarize`; `names` are those of the speakers, which tell nothing.
    Takes O(m^2) time in the m candidates, at most 400; a tie goes to the earlier. Empty when every single one is too
    long.
    """
    costs = [estimate_tokens(choice.text) + 1 for choice in choices]
    weights = [telling(choice.said, names) for choice in choices]
    fitting = [place for place, cost in enumerate(costs) if cost <= most_tokens]
    fitting = [place for place in fitting if weights[place] >= IDLE] or fitting
    if len(fitting) > MOST_CANDIDATES:
        fitting = sorted(sorted(fitting, key=lambda place: (-weights[place], place))[:MOST_CANDIDATES])
    if not fitting:
        return []
    alike = _alike([choices[place] for place in fitting], vectors)
    weight = np.array([weights[place] for place in fitting])
    cost = np.array([costs[place] for place in fitting], np.float64)
    return [fitting[place] for place in _greedy(alike, weight, cost, most_tokens)]


def telling(sentence: str, names: Collection[str] = ()) -> float:
    """How much a sentence tells, in 0 to 1: by its distinct terms, names and numbers thrice, questions little.

    `names` are those of the speakers: calling each other by name tells nothing. Nor does a single term.
    """
    called = [term for name in names for term in analyze(name)]
    said = set(analyze(sentence))
    # "Mel" is Melanie.
    nicknames = {term for term in said if len(term) >= SHORTEST_NAME and any(one.startswith(term) for one in called)}
    idle = _CHATTER | nicknames
    terms = said - idle
    if len(terms) < LEAST_TERMS:
        return 0.0
    specific = {found for found in _SPECIFIC.findall(sentence) if not idle.issuperset(analyze(found))}
    told = 1 - math.exp(-(len(terms) + 2 * len(specific)) / FULL_TERMS)
    return told * (ASKED if sentence.rstrip("\"'”’)] ").endswith(("?", "？")) else 1.0)


def _lines(place: int, turn: Said) -> list[Line]:
    """The sentences of a turn; all of it where no rule sees a sentence (code, a table, a list of links)."""
    whole = (len(turn.content) - len(turn.content.lstrip()), len(turn.content.rstrip()))
    spans = [span for span in sentences(turn.content) if analyze(turn.content[span[0] : span[1]])] or [whole]
    front = heading(turn)
    return [
        Line(place, start, end, front + " ".join(turn.content[start:end].split()))
        for start, end in spans
        if end > start
    ]


def heading(turn: Said) -> str:
    """Who said a line, and on which day: "Ana, 2 March 2026: "."""
    speaker = turn.speaker or turn.role or ""
    day = "" if turn.at is None else f"{turn.at.day} {turn.at:%B %Y}"
    front = ", ".join(part for part in (speaker, day) if part)
    return f"{front}: " if front else ""


def _alike(choices: Sequence[Choice], vectors: Vectors | None) -> Floats:
    """float64[m, m]: how alike the candidates are, 0 to 1, 1 with themselves."""
    by_words = _cosines([analyze(choice.said) for choice in choices])
    if vectors is None:
        return by_words
    rows = vectors[[choice.turn for choice in choices]].astype(np.float64)
    rows[np.isnan(rows).any(axis=1)] = 0
    turns = np.array([choice.turn for choice in choices])
    # Of sentences of one turn only their words can tell whether they say the same.
    by_turn = np.where(turns[:, None] == turns[None, :], by_words, np.clip(rows @ rows.T, 0, 1))
    return WORDS_SHARE * by_words + (1 - WORDS_SHARE) * by_turn


def _cosines(bags: Sequence[Sequence[str]]) -> Floats:
    """Cosines of their TF-IDF vectors; the documents are the candidates themselves."""
    frequency = Counter(term for bag in bags for term in set(bag))
    column = {term: place for place, term in enumerate(frequency)}
    matrix = np.zeros((len(bags), max(1, len(column))))
    for row, bag in enumerate(bags):
        for term, count in Counter(bag).items():
            matrix[row, column[term]] = (1 + math.log(count)) * math.log(1 + len(bags) / frequency[term])
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    cosines: Floats = np.clip((matrix / np.maximum(norms, 1e-12)) @ (matrix / np.maximum(norms, 1e-12)).T, 0, 1)
    np.fill_diagonal(cosines, 1)
    # Sums differ in their last digits between machines; ties must not.
    rounded: Floats = np.round(cosines, 9)
    return rounded


def _greedy(alike: Floats, weight: Floats, cost: Floats, most_tokens: int) -> list[int]:
    """Take what adds most for its length until nothing more fits."""
    covered = np.zeros(len(weight))
    open_ = np.ones(len(weight), bool)
    chosen: list[int] = []
    left = float(most_tokens)
    while True:
        open_ &= cost <= left
        if not open_.any():
            return sorted(chosen)
        added = (np.maximum(alike - covered[None, :], 0) * weight[None, :]).sum(axis=1) + OWN_SHARE * weight
        best = int(np.argmax(np.where(open_, np.round(added / cost**LENGTH_POWER, 9), -1)))
        chosen.append(best)
        left -= cost[best]
        covered = np.maximum(covered, alike[best])
        open_[best] = False
        open_ &= alike[best] < SAME


def _shorten(line: Line, most_tokens: int) -> Line:
    """The beginning of a line that is too long, up to a word's end where it has one."""
    text = line.text
    while estimate_tokens(text) > most_tokens and len(text) > 1:
        text = text[: max(1, len(text) * most_tokens // estimate_tokens(text))]
        text = text[: text.rfind(" ")] if " " in text.strip() else text
    return Line(line.turn, line.start, line.end, text.rstrip())
