"""The chain of prefix hashes: what clients may compute themselves, and that it finds what comparing tokens finds."""

import hashlib
import re
import struct
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from memsvc.text.prefixes import BLOCK, chain, common_length, seed

IDS = st.lists(st.integers(0, 2), max_size=70)  # few values, so that prefixes meet


def test_the_seed_is_the_hash_of_a_json_array() -> None:
    assert seed("llama", "r1", "ab12", None).hex() == (hashlib.sha256(b'["llama","r1","ab12",null]').hexdigest())
    assert seed("llama", "r1", "ab12", None).hex() == "db59010fa66e41cb90b70eff11ac75189c87627c048f976896d832260fcb0951"
    assert seed("modèle", 'r"1', "t", "rope") == hashlib.sha256('["modèle","r\\"1","t","rope"]'.encode()).digest()


def test_each_hash_covers_the_one_before_and_sixteen_ids() -> None:
    first = seed("llama", "r1", "ab12", None)
    ids = list(range(100, 140))
    one = hashlib.sha256(first + struct.pack("<16I", *range(100, 116))).digest()
    two = hashlib.sha256(one + struct.pack("<16I", *range(116, 132))).digest()
    assert chain(first, ids) == [one, two]
    assert two.hex() == "1bc9a250832e888dd3c8d83ce22c61971fbac66699829f44ac2e1baa4fe3ccd7"


def test_the_last_partial_block_is_in_no_hash() -> None:
    first = seed("llama", "r1", "ab12", "rope")
    assert chain(first, range(15)) == []
    assert len(chain(first, range(16))) == 1
    assert chain(first, range(31)) == chain(first, range(16))


def test_another_model_revision_tokenizer_or_scheme_shares_no_hash() -> None:
    keys = [("m", "r", "t", None), ("m", "r2", "t", None), ("m2", "r", "t", None), ("m", "r", "t", "rope")]
    hashes = {chain(seed(*key), range(16))[0] for key in keys}
    assert len(hashes) == len(keys)


@given(IDS, IDS)
def test_hashes_agree_for_exactly_the_blocks_that_agree(left: list[int], right: list[int]) -> None:
    first = seed("m", "r", "t", None)
    equal = common_length([*chain(first, left)], [*chain(first, right)])
    assert equal == min(common_length(left, right), len(left), len(right)) // BLOCK


@given(IDS, IDS)
def test_the_common_length_is_the_longest_equal_prefix(left: list[int], right: list[int]) -> None:
    expected = max(n for n in range(len(left) + 1) if left[:n] == right[:n])
    assert common_length(left, right) == expected


def test_the_page_for_clients_gives_the_same_hashes() -> None:
    page = (Path(__file__).parents[2] / "docs/tensors.md").read_text()
    [source] = re.findall(r"```python\n(import hashlib.*?)```", page, re.DOTALL)
    names: dict[str, Callable[..., list[str]]] = {}
    exec(source, names)  # noqa: S102 - a page of this repository
    ids = list(range(100, 140))
    for key in (("llama", "r1", "ab12", None), ("modèle", 'r"1', "t", "rope")):
        assert names["prefix_hashes"](*key, ids) == [each.hex() for each in chain(seed(*key), ids)]
    assert chain(seed("llama", "r1", "ab12", None), ids)[1].hex() in page
