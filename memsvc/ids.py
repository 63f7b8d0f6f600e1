"""Typed ids. Every id is a UUIDv7 (RFC 9562), so that ids sort by creation and indexes stay dense."""

import os
import time
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)
PrincipalId = NewType("PrincipalId", UUID)
KeyId = NewType("KeyId", UUID)
SpaceId = NewType("SpaceId", UUID)
SessionId = NewType("SessionId", UUID)
MemoryId = NewType("MemoryId", UUID)
OperationId = NewType("OperationId", UUID)
ReceiptId = NewType("ReceiptId", UUID)
ErasureId = NewType("ErasureId", UUID)
GroupId = NewType("GroupId", UUID)
GrantId = NewType("GrantId", UUID)
SubscriptionId = NewType("SubscriptionId", UUID)
WebhookId = NewType("WebhookId", UUID)
PackId = NewType("PackId", UUID)
ScratchId = NewType("ScratchId", UUID)
ConflictId = NewType("ConflictId", UUID)


def new_uuid() -> UUID:
    """A UUIDv7: 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
