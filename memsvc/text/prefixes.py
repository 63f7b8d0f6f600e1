"""The chain of prefix hashes by which a cached prefix is found; docs/tensors.md gives it to clients.

seed = SHA-256 of the JSON array [model, revision, tokenizer_hash, position_scheme], UTF-8, without spaces;
h(i) = SHA-256(h(i-1) + the i-th block of 16 token ids, each as a little-endian u32), h(0) = seed.
Equal h(i) means: the same model, and the same first 16 i tokens.
"""

import hashlib
import json
from collections.abc import Sequence
from struct import Struct

BLOCK = 16
_IDS = Struct(f"<{BLOCK}I")


def seed(model: str, revision: str, tokenizer_hash: str, position_scheme: str | None) -> bytes:
    """What every chain of one model begins with: caches of two models, or two revisions, never meet."""
    key = [model, revision, tokenizer_hash, position_scheme]
    return hashlib.sha256(json.dumps(key, ensure_ascii=False, separators=(",", ":")).encode()).digest()


def chain(first: bytes, token_ids: Sequence[int]) -> list[bytes]:
    """h(1), h(2)... of every full block; the tokens past the last full block are in none."""
    hashes: list[bytes] = []
    before = first
    for start in range(0, len(token_ids) - BLOCK + 1, BLOCK):
        before = hashlib.sha256(before + _IDS.pack(*token_ids[start : start + BLOCK])).digest()
        hashes.append(before)
    return hashes


def common_length(left: Sequence[int], right: Sequence[int]) -> int:
    """How many token ids both begin with."""
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return length
