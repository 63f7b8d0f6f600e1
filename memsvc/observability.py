"""Logs, and traces when a collector is configured. Nothing here ever sees memory content."""

import logging
import sys

import structlog

from memsvc import __version__
from memsvc.config import Settings
from memsvc.errors import ConfigurationError


def configure_logs(settings: Settings) -> None:
    """One line an event on standard error; libraries' warnings take the same form, without their arguments' values."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if settings.log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    # A traceback without local variables: they would hold what people said.
    formatted: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info] if settings.log_format == "json" else []
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *formatted, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("memsvc").setLevel(settings.log_level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def configure_traces(settings: Settings, app: object) -> None:
    """Send a span a request to `otlp_endpoint`, when one is set."""
    if settings.otlp_endpoint is None:
        return
    try:
        from fastapi import FastAPI
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            "MEMSVC_OTLP_ENDPOINT is set but OpenTelemetry is not installed",
            remedy="Install it with `pip install 'memsvc[otel]'`, or unset the endpoint.",
        ) from error
    if not isinstance(app, FastAPI):
        raise TypeError("traces need the FastAPI application")
    provider = TracerProvider(resource=Resource.create({"service.name": "memsvc", "service.version": __version__}))
    endpoint = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    FastAPIInstrumentor.instrument_app(app, excluded_urls="healthz,readyz,metrics")
