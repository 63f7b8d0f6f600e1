"""From content to units of search: sentence-bounded chunks, their terms, and the text that is embedded. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memsvc.store.writes import NewChunk
from memsvc.text.analysis import analyze, document_text
from memsvc.text.chunking import Span, split

CountTokens = Callable[[Sequence[str]], list[int]]
# A chunk's length is stored in 16 bits; a chunk within an encoder's limit never comes near.
MAX_LENGTH = 0x7FFF


@dataclass(frozen=True, slots=True)
class Units:
    """The chunks of one content, and for each the text that the encoder sees."""

    chunks: tuple[NewChunk, ...]
    texts: tuple[str, ...]


def cut(content: str, name: str | None, *, count_tokens: CountTokens, max_tokens: int) -> Units:
    """Cut one content; `max_tokens` is the encoder's limit, special tokens included."""
    spans = split(content, count_tokens=count_tokens, max_tokens=max_tokens)
    return Units(
        chunks=tuple(_chunk(content, span) for span in spans),
        texts=tuple(document_text(content[span.start : span.end], name) for span in spans),
    )


def _chunk(content: str, span: Span) -> NewChunk:
    terms = Counter(analyze(content[span.start : span.end]))
    return NewChunk(span.start, span.end, terms, min(terms.total(), MAX_LENGTH))
