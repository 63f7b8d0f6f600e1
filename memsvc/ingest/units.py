"""From content to units of search: sentence-bounded chunks, their terms, and the text that is embedded. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memsvc.store.writes import NewChunk
from memsvc.text.analysis import analyze, document_text
from memsvc.text.chunking import split_many

CountTokens = Callable[[Sequence[str]], list[int]]
# A chunk's length is stored in 16 bits; a chunk within an encoder's limit never comes near.
MAX_LENGTH = 0x7FFF


@dataclass(frozen=True, slots=True)
class Units:
    """The chunks of one content, and for each the text that the encoder sees."""

    chunks: tuple[NewChunk, ...]
    texts: tuple[str, ...]


def cut_all(contents: Sequence[tuple[str, str | None]], *, count_tokens: CountTokens, max_tokens: int) -> list[Units]:
    """Cut (content, name) pairs; `max_tokens` is the encoder's limit, special tokens included."""
    names = {name for _, name in contents if name is not None}
    # The name stands in front of every chunk that the encoder sees, so its tokens come off the limit.
    reserve = max(count_tokens([document_text("", name) for name in sorted(names)]), default=0)
    spans = split_many([content for content, _ in contents], count_tokens=count_tokens, max_tokens=max_tokens - reserve)
    units = []
    for (content, name), found in zip(contents, spans, strict=True):
        texts = tuple(document_text(content[span.start : span.end], name) for span in found)
        chunks = (_chunk(span.start, span.end, text) for span, text in zip(found, texts, strict=True))
        units.append(Units(tuple(chunks), texts))
    return units


def cut(content: str, name: str | None, *, count_tokens: CountTokens, max_tokens: int) -> Units:
    """`cut_all` of one content."""
    return cut_all([(content, name)], count_tokens=count_tokens, max_tokens=max_tokens)[0]


def _chunk(start: int, end: int, text: str) -> NewChunk:
    terms = Counter(analyze(text))
    return NewChunk(start, end, terms, min(terms.total(), MAX_LENGTH))
