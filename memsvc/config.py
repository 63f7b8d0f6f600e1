"""Settings: the only reader of the environment. `docs/configuration.md` lists each (a test compares)."""

from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from memsvc.errors import ConfigurationError

Device = Literal["auto", "cpu", "cuda", "mps"]


class Settings(BaseSettings):
    """Everything that can be set, as `MEMSVC_<NAME>`; the defaults serve one machine with no set-up."""

    model_config = SettingsConfigDict(env_prefix="MEMSVC_", frozen=True, extra="ignore")

    database_url: SecretStr | None = Field(
        None,
        description="Postgres URL of the application role. Unset: an embedded server in the data directory.",
    )
    admin_database_url: SecretStr | None = Field(
        None,
        description="Postgres URL of the owner, for `memsvc migrate` and key management. Unset: `database_url`.",
    )
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("memsvc")),
        description="Where the embedded database and the local key live.",
    )
    signing_key_file: Path | None = Field(
        None,
        description="Ed25519 key that signs erase receipts. Unset: `signing.key` in the data directory.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8377, description="Port to listen on; 0 takes a free one.")
    api_key: SecretStr | None = Field(
        None, description="Key the CLI and SDK send. Unset: the local key in the data directory."
    )
    url: str = Field("http://127.0.0.1:8377", description="Service the CLI and SDK talk to.")

    encoder: str = Field(
        "all-MiniLM-L6-v2",
        description="Encoder: a registered name, a local path, a hub name, or `remote:<model>`.",
    )
    encoder_revision: str | None = Field(None, description="Revision of a hub model to pin.")
    encoder_url: str | None = Field(None, description="Base URL of an OpenAI-compatible embeddings endpoint.")
    encoder_api_key: SecretStr | None = Field(None, description="Key for the embeddings endpoint.")
    device: Device = Field("auto", description="Device of a local encoder.")
    encoder_batch_tokens: int = Field(
        32_768, ge=256, description="Most padded tokens in one encoder batch; a CPU, faster with few, takes 512."
    )
    encoder_max_wait_ms: float = Field(2.0, ge=0, description="Longest wait of a query for others to share its batch.")
    encoder_queue_texts: int = Field(20_000, ge=1, description="Texts that may wait for the encoder; past it, 429.")
    torch_threads: int = Field(0, ge=0, description="Batches computed at once on a CPU, a thread each; 0: one a core.")

    llm_url: str | None = Field(
        None, description="Base URL of an OpenAI-compatible chat endpoint. Unset: no language model, all works without."
    )
    llm_model: str | None = Field(None, description="Name of the language model at that endpoint.")
    llm_api_key: SecretStr | None = Field(None, description="Key for that endpoint.")
    llm_timeout_s: float = Field(
        60.0, gt=0, description="Longest that one call of the language model takes, in seconds."
    )
    llm_tokens_a_day: int = Field(
        1_000_000, ge=0, description="Most tokens, in and out, that a tenant's calls take in a UTC day; 0: no bound."
    )
    llm_max_output_tokens: int = Field(
        2000, ge=64, le=100_000, description="Most tokens of one answer of the language model."
    )

    max_items: int = Field(1000, ge=1, le=1000, description="Most items in one write.")
    max_content_bytes: int = Field(2_000_000, ge=1, description="Largest content of one item, in bytes.")
    max_request_bytes: int = Field(64_000_000, ge=1, description="Largest request body, in bytes.")
    max_future_s: float = Field(
        86_400.0, ge=0, description="How far ahead of the clock a timestamp may be, in seconds."
    )
    write_wait_s: float = Field(
        20.0, ge=0, description="Longest that a write waits for its embeddings, in seconds; the rest is made later."
    )
    blob_url: str | None = Field(
        None,
        description="Where tensor blobs are kept, such as s3://bucket/prefix. Unset: files in the data directory.",
    )
    blob_endpoint: str | None = Field(
        None, description="URL of an S3-compatible service; its credentials come from the usual AWS_* variables."
    )
    max_blob_bytes: int = Field(2 * 1024**3, ge=1, description="Largest tensor blob, in bytes.")
    blob_quota_bytes: int = Field(20 * 1024**3, ge=0, description="Most bytes of tensor blobs of one tenant.")
    max_bundle_bytes: int = Field(8 * 1024**3, ge=1, description="Largest bundle that can be imported, in bytes.")
    exact_scan_limit: int = Field(20_000, ge=0, description="Chunks in scope up to which the dense arm scans exactly.")
    pool_size: int = Field(
        8, ge=1, description="Most database connections of one process for recalls, and as many again for the rest."
    )
    worker_in_serve: bool = Field(True, description="Run the background worker inside `memsvc serve`.")
    worker_jobs: int = Field(2, ge=1, le=100, description="Jobs that one worker runs at once.")
    worker_silent_s: float = Field(
        30.0, ge=1, description="A worker that was silent for so long is dead: its jobs are taken up by another."
    )
    worker_metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port on which `memsvc worker` serves its metrics. Unset: it does not."
    )
    consolidate: Literal["auto", "off"] = Field(
        "auto", description="Consolidate spaces after writes; off: only when asked. A space's policy can say off too."
    )
    consolidate_idle_s: float = Field(
        30.0, ge=0, description="A space is consolidated when it was not written for so long; 0: at once."
    )
    shutdown_grace_s: float = Field(30.0, ge=0, description="Time that requests in flight get at shutdown.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["json", "console"] = Field("json", description="Form of the log lines.")
    otlp_endpoint: str | None = Field(
        None,
        validation_alias=AliasChoices("MEMSVC_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        description="OpenTelemetry collector (OTLP over HTTP) to send traces to.",
    )

    @field_validator("database_url", "admin_database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        """A mistyped URL is an error here, never a silent fall-back to the embedded server."""
        if value is None:
            return None
        scheme, separator, _ = value.get_secret_value().partition("://")
        if not separator or scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ValueError("must look like postgresql://user:password@host:5432/database")
        return value

    @property
    def local_key_file(self) -> Path:
        """The file that holds the key made at the first local start."""
        return self.data_dir / "local.key"

    @property
    def signing_key(self) -> Path:
        """The file that holds the key of erase receipts."""
        return self.signing_key_file or self.data_dir / "signing.key"


def load_settings(**overrides: object) -> Settings:
    """Read the environment; a value that cannot be used raises `ConfigurationError` naming the variable."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "MEMSVC_" + str(first["loc"][0]).upper().removeprefix("MEMSVC_")
        raise ConfigurationError(f"{name}: {first['msg']}") from None
