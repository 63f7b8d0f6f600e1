"""Who is calling: the API key decides tenant, principal and scopes, and nothing else does."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from typing import Annotated

from fastapi import Depends, Request

from memsvc.errors import ForbiddenError, UnauthenticatedError
from memsvc.store.database import Database
from memsvc.store.keys import Caller, find_caller
from memsvc.wire import Scope

# A slow hash takes tens of milliseconds, so a checked key is remembered. A revocation takes at most this long.
CACHE_S = 10.0
CACHE_KEYS = 10_000


class Authenticator:
    """Checks keys, and remembers the answer for `CACHE_S` seconds under a digest of the key."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[bytes, tuple[float, Caller | None]] = OrderedDict()
        self._checking: dict[bytes, asyncio.Task[Caller | None]] = {}

    async def identify(self, key: str) -> Caller | None:
        """The caller this key stands for, or None. Wrong keys are remembered too: guessing costs one hash each."""
        digest = hashlib.sha256(key.encode(errors="replace")).digest()
        known = self._known.get(digest)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        task = self._checking.get(digest)
        if task is None:
            task = asyncio.create_task(find_caller(self._database, key))
            self._checking[digest] = task
            task.add_done_callback(lambda _: self._checking.pop(digest, None))
        caller = await asyncio.shield(task)
        self._known[digest] = (time.monotonic() + CACHE_S, caller)
        self._known.move_to_end(digest)
        while len(self._known) > CACHE_KEYS:
            self._known.popitem(last=False)
        return caller


async def _identify(request: Request) -> Caller:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise UnauthenticatedError("the request carries no API key")
    authenticator: Authenticator = request.app.state.services.authenticator
    caller = await authenticator.identify(key.strip())
    if caller is None:
        raise UnauthenticatedError("the API key is not known, or was revoked")
    return caller


CallerDep = Annotated[Caller, Depends(_identify)]


class _Require:
    """A dependency that lets a caller pass who holds `scope`; `admin` includes the others."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(self, caller: CallerDep) -> Caller:
        if not caller.scopes & {self._scope, "admin"}:
            raise ForbiddenError(
                f"this needs the scope `{self._scope}`; the key has {', '.join(sorted(caller.scopes))}"
            )
        return caller


Reader = Annotated[Caller, Depends(_Require("read"))]
Writer = Annotated[Caller, Depends(_Require("write"))]
Admin = Annotated[Caller, Depends(_Require("admin"))]
