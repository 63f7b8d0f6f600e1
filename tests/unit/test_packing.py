"""Packs: byte for byte in and out, whatever the texts; a damaged one is noticed; neighbours share one."""

import hashlib
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from memsvc.errors import PackCorruptError
from memsvc.text.packing import PACK_BYTES, check, group, pack, unpack

ANA, BEN = UUID(int=1), UUID(int=2)
# What the service stores: anything but NUL and lone surrogates.
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1)
keys = st.tuples(st.uuids(), st.integers(1, 2**40))


def hashes(originals: dict) -> dict:
    return {key: hashlib.sha256(text.encode()).digest() for key, text in originals.items()}


@given(st.dictionaries(keys, texts, max_size=30))
def test_every_text_comes_back_as_it_was_and_in_its_order(originals: dict) -> None:
    packed = pack(originals)
    assert list(unpack(packed).items()) == list(originals.items())
    check(packed, originals, hashes(originals))
    assert pack(originals) == packed


def test_what_looks_alike_is_kept_apart() -> None:
    originals = {(ANA, 1): "café", (ANA, 2): "cafe\u0301", (BEN, 3): " two lines\r\n\n", (BEN, 4): "\ufeff😀"}
    assert unpack(pack(originals)) == originals


def test_dialogue_takes_a_third_of_its_bytes() -> None:
    said = {
        (ANA, number): f"On day {number} Ana said that the {what} in the kitchen was {how} again."
        for number, (what, how) in enumerate([("tap", "dripping"), ("window", "open"), ("lamp", "out")] * 40)
    }
    packed = pack(said)
    assert packed.raw_bytes > 3 * len(packed.data)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ({"data": b"not zstd"}, "cannot be decompressed"),
        ({"raw_hash": b"\x00" * 32}, "does not unpack to the bytes"),
        ({"raw_bytes": 7}, "does not have the size"),
        ({"codec": "zip-1"}, "has the codec 'zip-1'"),
        ({"data": zstandard.ZstdCompressor().compress(b"[]\nsomething else")}, "does not have the size"),
    ],
    ids=["data", "hash", "size", "codec", "other"],
)
def test_a_damaged_pack_is_refused(damage: dict, problem: str) -> None:
    with pytest.raises(PackCorruptError, match=problem):
        unpack(replace(pack({(ANA, 1): "The kettle is new."}), **damage))


@given(st.data())
def test_a_pack_with_any_byte_changed_is_refused_or_gives_the_same(data: st.DataObject) -> None:
    packed = pack({(ANA, 1): "The kettle is new.", (BEN, 2): "The kettle is old, and it leaks."})
    place = data.draw(st.integers(0, len(packed.data) - 1))
    flipped = bytearray(packed.data)
    flipped[place] ^= data.draw(st.integers(1, 255))
    with suppress(PackCorruptError):
        assert unpack(replace(packed, data=bytes(flipped))) == unpack(packed)


@pytest.mark.parametrize(
    ("originals", "hashed", "problem"),
    [
        ({(ANA, 1): "It is Tuesday."}, {}, "does not restore its content"),
        ({(ANA, 1): "It is Monday.", (ANA, 2): "And more."}, {}, "does not hold the contents"),
        ({(BEN, 1): "It is Monday."}, {}, "does not hold the contents"),
        ({(ANA, 1): "It is Monday."}, {(ANA, 1): hashlib.sha256(b"It is Friday.").digest()}, "its hash names"),
    ],
    ids=["other text", "one missing", "other memory", "other hash"],
)
def test_no_original_may_leave_that_the_pack_does_not_give_back(originals: dict, hashed: dict, problem: str) -> None:
    with pytest.raises(PackCorruptError, match=problem):
        check(pack({(ANA, 1): "It is Monday."}), originals, hashed)


def test_a_session_that_fits_is_in_one_pack() -> None:
    sessions = ["a", "a", "b", "b", "b", None]
    assert group(sessions, [30, 30, 20, 20, 20, 10], limit=100) == [range(2), range(2, 6)]


def test_a_session_that_does_not_fit_is_cut_and_a_large_text_stands_alone() -> None:
    assert group(["a"] * 5, [40, 40, 40, 300, 10], limit=100) == [range(2), range(2, 3), range(3, 4), range(4, 5)]


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(1, 2 * PACK_BYTES)), max_size=40))
def test_packs_hold_everything_once_in_order_and_no_more_than_they_may(items: list) -> None:
    sizes = [size for _, size in items]
    groups = group([session for session, _ in items], sizes)
    assert [place for places in groups for place in places] == list(range(len(items)))
    for places in groups:
        assert len(places) == 1 or sum(sizes[place] for place in places) <= PACK_BYTES
