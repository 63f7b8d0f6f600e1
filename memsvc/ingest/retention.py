"""How long a space keeps a memory. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any


def retained_until(policies: Mapping[str, Any], kind: str, recorded_at: datetime) -> datetime | None:
    """The end that a space's policies set for a memory of this kind; None when they set none.

    `policies` as `wire.Policies` is stored: a kind's own `ttl_days` goes before the space's.
    """
    of_kind = policies.get("kinds", {}).get(kind, {})
    days = of_kind.get("ttl_days", policies.get("ttl_days"))
    return None if days is None else recorded_at + timedelta(days=days)
