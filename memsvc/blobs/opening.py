"""The blob store that the settings ask for."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import S3Store, from_url

from memsvc.blobs.store import BlobStore
from memsvc.config import Settings
from memsvc.errors import ConfigurationError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

# The library bounds a whole request to 30 s, which a large blob takes longer than; what may not last is a silence.
CLIENT: "ClientConfig" = {
    "timeout": timedelta(hours=2),
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=30),
}
RETRY: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
S3_SCHEMES = frozenset({"s3", "s3a"})
SCHEMES = S3_SCHEMES | {"file", "gs", "az", "azure", "abfs", "abfss", "adl"}


def open_blob_store(settings: Settings) -> BlobStore:
    """Files in the data directory, or what `blob_url` names; `ConfigurationError` for a URL that cannot be used.

    Nothing is sent yet: a store that does not answer is an error of the request that needs it.
    """
    incoming = settings.data_dir / "incoming"
    if settings.blob_url is None:
        return BlobStore(None, incoming=incoming, directory=settings.data_dir / "blobs")
    parts = urlsplit(settings.blob_url)
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(f"MEMSVC_BLOB_URL: it must begin with one of {', '.join(sorted(SCHEMES))} and ://")
    if settings.blob_endpoint is not None and parts.scheme not in S3_SCHEMES:
        raise ConfigurationError("MEMSVC_BLOB_ENDPOINT: it is for an s3:// MEMSVC_BLOB_URL alone")
    if parts.scheme == "file":
        return BlobStore(None, incoming=incoming, directory=Path(unquote(parts.path)))
    try:
        if parts.scheme not in S3_SCHEMES:
            return BlobStore(from_url(settings.blob_url, client_options=CLIENT, retry_config=RETRY), incoming=incoming)
        endpoint: S3Config = {} if settings.blob_endpoint is None else {"endpoint": settings.blob_endpoint}
        plain = (settings.blob_endpoint or "").startswith("http://")
        store = S3Store.from_url(
            settings.blob_url, config=endpoint, client_options={**CLIENT, "allow_http": plain}, retry_config=RETRY
        )
    except (BaseError, ValueError) as error:
        raise ConfigurationError(f"MEMSVC_BLOB_URL: {str(error).splitlines()[0]}") from None
    return BlobStore(store, incoming=incoming)
