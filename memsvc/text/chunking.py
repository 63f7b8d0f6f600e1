"""Sentence-bounded chunks with exact offsets: what an encoder sees at a time, so that nothing is cut off unseen."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

CountTokens = Callable[[Sequence[str]], list[int]]

# After an end mark with its closing quotes and white space, after a full-width mark, or after a line.
_BOUNDARY = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|[。！？；]+[」』”’）]*\s*|\n\s*")
# What an encoder adds around a text; pieces are counted with it, a chunk has it once.
SPECIAL_TOKENS = 2
# Some tokenizers make one unknown token of an endless word: characters bound a chunk too.
CHARACTERS_A_TOKEN = 8
TARGET_TOKENS = 120


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of a content."""

    start: int
    end: int


def split_many(
    contents: Sequence[str], *, count_tokens: CountTokens, max_tokens: int, target_tokens: int = TARGET_TOKENS
) -> list[list[Span]]:
    """Cut each content into chunks of about `target_tokens`, none above `max_tokens` (special tokens included).

    Chunks end at sentences; a sentence above the limit is cut at words, an endless word anywhere. They are in order, do
    not overlap, and leave out nothing but white space between them. The tokenizer is called a few times for all
    contents together, not once for each.
    """
    target = min(target_tokens, max_tokens)
    whole = [_trim(content, 0, len(content)) for content in contents]
    counts = _count(contents, whole, count_tokens, max_tokens)
    spans = [[span] if count <= target else [] for span, count in zip(whole, counts, strict=True)]
    long = [index for index, found in enumerate(spans) if not found]
    pieces = [(index, piece) for index in long for piece in _sentences(contents[index], whole[index])]
    for index, chunk in _pack(_shorten(contents, pieces, count_tokens, max_tokens), target):
        spans[index].append(chunk)
    return spans


def split(
    content: str, *, count_tokens: CountTokens, max_tokens: int, target_tokens: int = TARGET_TOKENS
) -> list[Span]:
    """`split_many` of one content."""
    return split_many([content], count_tokens=count_tokens, max_tokens=max_tokens, target_tokens=target_tokens)[0]


_Piece = tuple[int, Span]


def sentences(content: str) -> list[str]:
    """The sentences of a content, in order, without the white space around them."""
    whole = _trim(content, 0, len(content))
    return [content[span.start : span.end] for span in _sentences(content, whole)] if whole is not None else []


def _trim(content: str, start: int, end: int) -> Span:
    piece = content[start:end]
    left = len(piece) - len(piece.lstrip())
    return Span(start + left, max(start + left, start + len(piece.rstrip())))


def _sentences(content: str, span: Span) -> list[Span]:
    ends = [match.end() for match in _BOUNDARY.finditer(content, span.start, span.end)]
    bounds = [span.start, *ends, span.end]
    trimmed = (_trim(content, start, end) for start, end in pairwise(bounds))
    return [piece for piece in trimmed if piece.end > piece.start]


def _count(contents: Sequence[str], spans: Sequence[Span], count_tokens: CountTokens, max_tokens: int) -> list[int]:
    """Tokens of each span, or more than `max_tokens` without counting where its length says so already."""
    counts = [max_tokens + 1] * len(spans)
    short = [i for i, span in enumerate(spans) if span.end - span.start <= max_tokens * CHARACTERS_A_TOKEN]
    counted = count_tokens([contents[i][spans[i].start : spans[i].end] for i in short]) if short else []
    for i, count in zip(short, counted, strict=True):
        counts[i] = count
    return counts


def _shorten(
    contents: Sequence[str], pieces: Sequence[_Piece], count_tokens: CountTokens, max_tokens: int
) -> list[tuple[int, Span, int]]:
    """The pieces with their counts, those above the limit halved until none is; the order is kept."""
    done: list[tuple[int, Span, int]] = []
    left = list(pieces)
    while left:
        counts = _count([contents[index] for index, _ in left], [span for _, span in left], count_tokens, max_tokens)
        halved: list[_Piece] = []
        for (index, span), count in zip(left, counts, strict=True):
            if count <= max_tokens:
                done.append((index, span, count))
            else:
                halved += [(index, half) for half in _halve(contents[index], span)]
        left = halved
    return sorted(done, key=lambda piece: (piece[0], piece[1].start))


def _halve(content: str, span: Span) -> list[Span]:
    """Cut in the middle, at white space if the middle half has any."""
    middle = (span.start + span.end) // 2
    reach = (span.end - span.start) // 4
    before = max(content.rfind(" ", span.start, middle), content.rfind("\n", span.start, middle))
    cut = before + 1 if before >= middle - reach else middle
    return [half for half in (_trim(content, span.start, cut), _trim(content, cut, span.end)) if half.end > half.start]


def _pack(pieces: Sequence[tuple[int, Span, int]], target: int) -> list[_Piece]:
    """Neighbouring pieces of one content joined while they stay within the target."""
    chunks: list[_Piece] = []
    tokens = 0
    for index, span, count in pieces:
        own = max(count - SPECIAL_TOKENS, (span.end - span.start) // CHARACTERS_A_TOKEN)
        if chunks and chunks[-1][0] == index and tokens + own <= target:
            chunks[-1] = (index, Span(chunks[-1][1].start, span.end))
            tokens += own
        else:
            chunks.append((index, span))
            tokens = own + SPECIAL_TOKENS
    return chunks
