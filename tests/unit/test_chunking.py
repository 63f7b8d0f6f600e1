"""Chunks: they cover the content in order, end at sentences, and none is longer than the encoder takes."""

import itertools
import math
import re
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from memsvc.text.chunking import Span, split, split_many


def count_words(texts: Sequence[str]) -> list[int]:
    """Like a word-piece tokenizer: four letters a piece, a mark each, one piece for an endless word."""
    return [
        2 + sum(math.ceil(len(word) / 4) if len(word) <= 100 else 1 for word in re.findall(r"\w+|[^\w\s]", text))
        for text in texts
    ]


def count_letters(texts: Sequence[str]) -> list[int]:
    """The most that a tokenizer makes of a text in letters."""
    return [2 + len("".join(text.split())) for text in texts]


def chunks(content: str, *, max_tokens: int = 256, target_tokens: int = 120) -> list[str]:
    spans = split(content, count_tokens=count_words, max_tokens=max_tokens, target_tokens=target_tokens)
    return [content[span.start : span.end] for span in spans]


pieces = st.sampled_from(
    ["word ", "Ende. ", "終わり。", "\n", "\n\n", "- item\n", "```\n", "x" * 90, "  ", "3.14 ", "🙂", "\u2028"]
)
contents = st.one_of(st.text(max_size=300), st.lists(pieces, max_size=60).map("".join))


@given(contents, st.sampled_from([count_words, count_letters]), st.integers(12, 80), st.integers(5, 60))
def test_chunks_cover_everything_in_order_within_the_limit(content, count, max_tokens, target) -> None:
    spans = split(content, count_tokens=count, max_tokens=max_tokens, target_tokens=target)
    assert all(0 <= a.start <= a.end <= b.start for a, b in itertools.pairwise(spans))
    assert all(span.end <= len(content) for span in spans)
    kept = "".join(content[span.start : span.end] for span in spans)
    assert "".join(kept.split()) == "".join(content.split())
    assert all(length <= max_tokens for length in count([content[span.start : span.end] for span in spans]))


@given(st.lists(contents, max_size=5))
def test_many_are_cut_as_each_would_be_alone(many: list[str]) -> None:
    together = split_many(many, count_tokens=count_words, max_tokens=40, target_tokens=20)
    assert together == [split(content, count_tokens=count_words, max_tokens=40, target_tokens=20) for content in many]


def test_a_short_text_is_one_chunk_without_the_space_around_it() -> None:
    assert split("  A short one. Two sentences.\n", count_tokens=count_words, max_tokens=256) == [Span(2, 29)]


def test_chunks_end_at_sentences() -> None:
    content = " ".join(f"Sentence number {number} says that the boat left the harbour." for number in range(40))
    found = chunks(content)
    assert len(found) > 3
    assert all(chunk.endswith(".") and chunk.startswith("Sentence") for chunk in found)


def test_a_full_width_mark_ends_a_sentence_without_a_space() -> None:
    found = chunks("船は港を出ました。" * 40, max_tokens=64, target_tokens=12)
    assert len(found) > 1
    assert all(chunk.endswith("。") for chunk in found)


def test_lines_end_sentences() -> None:
    found = chunks("\n".join(f"- item {number} of a list" for number in range(40)), target_tokens=30)
    assert len(found) > 1
    assert all(chunk.startswith("- item") for chunk in found)


def test_a_megabyte_takes_few_calls_of_the_tokenizer() -> None:
    calls = []

    def count(texts: Sequence[str]) -> list[int]:
        calls.append(sum(map(len, texts)))
        return count_words(texts)

    content = "The quick brown fox jumps over the lazy dog. " * 23_000
    spans = split(content, count_tokens=count, max_tokens=256)
    assert len(spans) > 1000
    assert len(calls) <= 12
    assert sum(calls) <= 3 * len(content)


def test_an_endless_word_is_cut() -> None:
    found = chunks("QUJD" * 5000)
    assert "".join(found) == "QUJD" * 5000
    assert max(map(len, found)) <= 8 * 256
