"""Where the client connects and which key it sends."""

from pathlib import Path

import httpx
import pytest
from sdk_samples import Recorded

from memsvc.sdk import MemoryClient
from memsvc.sdk.connection import resolve


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "local.key").write_text("msk_local_key\n")
    return tmp_path


def test_arguments_come_before_the_environment() -> None:
    environment = {"MEMSVC_URL": "http://b.test", "MEMSVC_API_KEY": "env-key"}
    given = resolve("http://a.test", "key", environment)
    assert (given.url, given.api_key) == ("http://a.test", "key")
    found = resolve(None, None, environment)
    assert (found.url, found.api_key) == ("http://b.test", "env-key")


def test_the_local_service_and_its_key_are_the_default(data_dir: Path) -> None:
    connection = resolve(None, None, {"MEMSVC_DATA_DIR": str(data_dir)})
    assert (connection.url, connection.api_key, connection.local) == ("http://127.0.0.1:8377", "msk_local_key", True)


def test_the_local_key_is_found_in_the_users_data_directory(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_data_dir", {"memsvc": str(data_dir)}.__getitem__)
    assert resolve("http://localhost:9000", None, {}).api_key == "msk_local_key"


@pytest.mark.parametrize("url", ["https://elsewhere.test", "http://10.0.0.7:8377", "http://localhost.evil.test"])
def test_the_local_key_does_not_leave_this_machine(url: str, data_dir: Path) -> None:
    assert resolve(url, None, {"MEMSVC_DATA_DIR": str(data_dir)}).api_key is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "http://127.8.8.8"])
def test_addresses_of_this_machine(url: str, data_dir: Path) -> None:
    assert resolve(url, None, {"MEMSVC_DATA_DIR": str(data_dir)}).api_key == "msk_local_key"


def test_without_a_key_no_header_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEMSVC_API_KEY", raising=False)
    monkeypatch.setenv("MEMSVC_DATA_DIR", str(tmp_path))
    recorded = Recorded([httpx.Response(200, json={"items": []})])
    MemoryClient("http://127.0.0.1:1", transport=recorded.transport).spaces()
    assert "Authorization" not in recorded.requests[0].headers
    assert recorded.requests[0].headers["User-Agent"].startswith("memsvc/")


@pytest.mark.parametrize("url", ["127.0.0.1:8377", "ftp://host", "http://", "http://[::1", "nonsense"])
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        resolve(url, "key", {})


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(resolve("http://a.test", "secret", {}))
