"""Words, numbers and marks of a clause."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""n['’]t\b|['’](?:m|ve|re|ll|d|s)\b
    |(?:ca|wo|sha|do|does|did|is|are|was|were|have|has|had|could|would|should|might|must|need|ai)(?=n['’]t\b)
    |[^\W\d_](?:[^\W_]|[-_.](?=[^\W_])|['’](?!(?:m|ve|re|ll|d|s)\b)(?=[^\W_]))*(?:(?<=s)['’](?!\w))?
    |[$€£¥]?\d(?:[^\W_]|[.,:/-](?=\d))*%?
    |[^\w\s]|_""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word or mark. `start` and `end` count from the clause; `low` is lower case with straight quotes."""

    text: str
    low: str
    start: int
    end: int
    quoted: bool


def tokenize(text: str, quotes: Sequence[tuple[int, int]]) -> list[Token]:
    """Words, numbers and marks of a clause; contractions are cut ("do" + "n't"). `quotes` count from the clause."""
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        within = any(left <= start and end <= right for left, right in quotes)
        word = match.group()
        for part, low, left, right in _unspelled(word, start, end):
            tokens.append(Token(part, low, left, right, within))
    return tokens


def _unspelled(word: str, start: int, end: int) -> list[tuple[str, str, int, int]]:
    """The word with its lower form; "im" and "dont" as if they had their apostrophe."""
    low = word.lower().replace("’", "'")
    if low in ("im", "ive"):
        return [(word[0], "i", start, start + 1), (word[1:], "'" + low[1:], start + 1, end)]
    if low in ("dont", "didnt", "cant", "wont", "doesnt", "isnt", "wasnt", "havent"):
        stem = low[:-2]
        cut = start + len(stem)
        return [(word[: len(stem)], stem, start, cut), (word[len(stem) :], "n't", cut, end)]
    return [(word, low, start, end)]
