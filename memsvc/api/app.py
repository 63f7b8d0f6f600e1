"""The ASGI application: routes, errors, middleware."""

from fastapi import FastAPI

from memsvc import __version__
from memsvc.api import health, memories, problems, recall
from memsvc.api.middleware import RequestMiddleware
from memsvc.api.services import Services
from memsvc.wire import Problem

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
    for module in (memories, recall, health):
        app.include_router(module.router)
    problems.install(app)
    app.add_middleware(RequestMiddleware, max_request_bytes=services.settings.max_request_bytes)
    return app
