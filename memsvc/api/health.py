"""Liveness, readiness and metrics; the only paths that need no key."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from memsvc import __version__
from memsvc.api.services import ServicesDep
from memsvc.errors import DatabaseUnavailableError
from memsvc.wire import Health

router = APIRouter()


@router.get("/healthz", summary="Is the process alive")
async def healthz() -> Health:
    """200 as long as the process answers."""
    return Health(status="ok", version=__version__)


@router.get("/readyz", summary="Can it serve")
async def readyz(services: ServicesDep, response: Response) -> Health:
    """200 when the database answers, else 503. A failing encoder leaves it ready: writes and lexical recall work."""
    checks = {"encoder": "ok" if services.ingest.batcher.available else "unavailable"}
    try:
        await services.database.ping()
        checks["database"] = "ok"
    except DatabaseUnavailableError:
        checks["database"] = "unavailable"
    ready = checks["database"] == "ok"
    response.status_code = 200 if ready else 503
    return Health(status="ok" if ready else "unavailable", version=__version__, checks=checks)


@router.get("/metrics", summary="Prometheus metrics", include_in_schema=False)
async def metrics() -> Response:
    """Counters and histograms in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
