"""`memsvc doctor`: is this installation fit to serve, and if not, what to do."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memsvc.config import Settings
from memsvc.deployment import Deployment, deploy
from memsvc.errors import MemsvcError
from memsvc.inference.loading import load_encoder
from memsvc.store import keys
from memsvc.store.database import Database
from memsvc.store.encoders import claim_encoder
from memsvc.store.migrate import owner_engine, require_current


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `remedy` says what to do when it is not `ok`."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def diagnose(settings: Settings) -> Sequence[Check]:
    """Check the data directory, database, schema, role, keys and encoder, in that order, as far as they can be."""
    try:
        with deploy(settings) as deployment:
            kind = "embedded" if deployment.embedded else "given by MEMSVC_DATABASE_URL"
            checks = [Check("database", ok=True, detail=f"{kind}, answers")]
            checks += [_guarded("schema", _schema, deployment), _guarded("keys", _keys, deployment)]
            checks += asyncio.run(_runtime(settings, deployment))
            return checks
    except MemsvcError as error:
        return [Check("database", ok=False, detail=error.detail, remedy=error.hint)]


def _guarded(name: str, check: Callable[[Deployment], str], deployment: Deployment) -> Check:
    try:
        return Check(name, ok=True, detail=check(deployment))
    except MemsvcError as error:
        return Check(name, ok=False, detail=error.detail, remedy=error.hint)


def _schema(deployment: Deployment) -> str:
    with owner_engine(deployment.owner_url).connect() as connection:
        return f"is this version's ({require_current(connection)})"


def _keys(deployment: Deployment) -> str:
    live = [key for key in keys.list_keys(deployment.owner_url) if key.revoked_at is None]
    return f"{len(live)} in use"


async def _runtime(settings: Settings, deployment: Deployment) -> list[Check]:
    database = Database(deployment.app_url, pool_size=1)
    checks = []
    try:
        await database.check_role()
        checks.append(Check("role", ok=True, detail=f"{deployment.app_role} is bound by row-level security"))
        encoder = await asyncio.to_thread(load_encoder, settings)
        try:
            await claim_encoder(database, encoder.spec)
        finally:
            encoder.close()
        checks.append(Check("encoder", ok=True, detail=f"{encoder.spec.name}, {encoder.spec.dimension} dimensions"))
    except MemsvcError as error:
        name = "encoder" if checks else "role"
        checks.append(Check(name, ok=False, detail=error.detail, remedy=error.hint))
    finally:
        await database.close()
    return checks
