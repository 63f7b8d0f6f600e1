"""Where the service is and which key opens it.

The client reads three variables itself, so that it works without the service's settings:
`MEMSVC_URL`, `MEMSVC_API_KEY` and, for the local key file, `MEMSVC_DATA_DIR`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import httpx
import platformdirs

import memsvc

DEFAULT_URL = "http://127.0.0.1:8377"


@dataclass(frozen=True, slots=True)
class Connection:
    """`local` is true when the service runs on this machine."""

    url: str
    api_key: str | None = field(repr=False)
    local: bool

    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        headers = {"User-Agent": f"memsvc/{memsvc.__version__}", "Accept": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers


def resolve(url: str | None, api_key: str | None, environment: Mapping[str, str] | None = None) -> Connection:
    """The arguments, else the environment, else the local service and its key file.

    The local key is sent to this machine alone: a mistyped or foreign MEMSVC_URL must not collect it.
    `ValueError` for a URL that is not http(s).
    """
    variables = os.environ if environment is None else environment
    address = url or variables.get("MEMSVC_URL") or DEFAULT_URL
    try:
        parsed = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ValueError(f"{address!r} is not a URL: {error}") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError(f"{address!r} is not the URL of a service; it should look like {DEFAULT_URL}")
    local = _is_this_machine(parsed.host)
    key = api_key or variables.get("MEMSVC_API_KEY")
    if not key and local:
        folder = variables.get("MEMSVC_DATA_DIR") or platformdirs.user_data_dir("memsvc")
        key = _read_key(Path(folder) / "local.key")
    return Connection(address, key or None, local)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_key(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:  # not there or not ours to read: the service says what is missing
        return None
