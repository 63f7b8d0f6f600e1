"""The ASGI application: routes, errors, middleware."""

from fastapi import FastAPI

from memsvc import __version__
from memsvc.api import (
    compressing,
    core,
    erasing,
    feed,
    forgetting,
    health,
    jobs,
    lifecycle,
    memories,
    moving,
    problems,
    proposals,
    recall,
    recipes,
    scratch,
    sharing,
    tensors,
    upkeep,
    usage,
)
from memsvc.api.middleware import RequestMiddleware
from memsvc.api.services import Services
from memsvc.lifecycle.blobs import open_tensor_store
from memsvc.wire import Problem

ROUTERS = (
    memories,
    lifecycle,
    core,
    proposals,
    erasing,
    sharing,
    feed,
    moving,
    recall,
    recipes,
    forgetting,
    compressing,
    scratch,
    tensors,
    upkeep,
    usage,
    jobs,
    health,
)
DESCRIPTION = "Long-term memory for AI agents. Every error is RFC 9457 problem details with a remedy."


def create_app(services: Services) -> FastAPI:
    """An application over `services`, whose life is the caller's to manage."""
    app = FastAPI(
        title="memsvc",
        version=__version__,
        description=DESCRIPTION,
        responses={"default": {"model": Problem, "description": "Problem details"}},
    )
    app.state.services = services
    app.state.tensors = open_tensor_store(services.settings, services.ingest)
    for module in ROUTERS:
        app.include_router(module.router)
    problems.install(app)
    settings = services.settings
    app.add_middleware(
        RequestMiddleware,
        max_request_bytes=settings.max_request_bytes,
        max_blob_bytes=settings.max_blob_bytes,
        max_bundle_bytes=settings.max_bundle_bytes,
    )
    return app
