"""What the routes work with. Built by the composition root, reached through `request.app.state.services`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from memsvc.api.auth import Authenticator
from memsvc.config import Settings
from memsvc.ingest.write import Ingest
from memsvc.lifecycle.signing import Signer
from memsvc.retrieval.recall import Recaller
from memsvc.store.database import Database
from memsvc.upkeep.model import Upkeep

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may use; `clock` returns an aware UTC time."""

    settings: Settings
    clock: Clock
    database: Database
    authenticator: Authenticator
    ingest: Ingest
    upkeep: Upkeep
    recaller: Recaller
    signer: Signer


async def get_services(request: Request) -> Services:
    """The services of this process. Asynchronous, since FastAPI sends a plain function through a thread."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]
