"""The receipt of an erasure: what was erased, in counts and hashes, without a word of it. Pure."""

import hashlib

from memsvc.ids import MemoryId

FORMAT = "memsvc-erasure/1"


def hash_id(memory_id: MemoryId) -> str:
    """How a receipt names an erased memory: SHA-256 of its UUID's 16 bytes, hex."""
    return hashlib.sha256(memory_id.bytes).hexdigest()
