"""The real service as a process: started, used, killed, restarted, stopped."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from memsvc.demo.service import ServiceProcess
from memsvc.sdk import MemoryClient

BULK_REQUESTS = 60
PER_REQUEST = 20


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def client_of(service: ServiceProcess, **options: object) -> MemoryClient:
    return MemoryClient(service.url, service.api_key, **options)


def test_it_remembers_recalls_and_stops_leaving_nothing(data_dir: Path) -> None:
    with ServiceProcess(data_dir) as service, client_of(service) as client:
        client.add(
            space="home",
            session="s1",
            messages=[
                {"role": "user", "content": "My daughter Ines starts swimming lessons on Friday."},
                {"role": "assistant", "content": "Lovely! I will remind you to pack her goggles."},
                {"role": "user", "content": "Also, I am allergic to peanuts."},
            ],
        )
        hits = client.recall("What food should I avoid?", space="home", k=1, explain=True).results
        assert hits[0].memory.content == "Also, I am allergic to peanuts."
        assert hits[0].reasons
        context = client.context("swimming", space="home")
        assert "[1]" in context.text
        pid = service.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_an_acknowledged_write_survives_kill_9_exactly_once(data_dir: Path) -> None:
    """Killed in the middle of a bulk add, restarted, and the whole add sent again with the same keys."""
    acknowledged: list[str] = []

    def body(number: int) -> dict:
        texts = [{"content": f"entry {number}-{line}"} for line in range(PER_REQUEST)]
        return {"space": "bulk", "texts": texts}

    def send_all(url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
            for number in range(BULK_REQUESTS):
                try:
                    answer = http.post("/v1/memories", json=body(number), headers={"Idempotency-Key": f"bulk-{number}"})
                except httpx.TransportError:
                    return
                assert answer.status_code == 201
                acknowledged.extend(item["id"] for item in answer.json()["items"])

    service = ServiceProcess(data_dir)
    service.start()
    key = service.api_key
    sender = threading.Thread(target=send_all, args=(service.url, key))
    sender.start()
    while len(acknowledged) < 5 * PER_REQUEST and sender.is_alive():
        time.sleep(0.002)
    service.kill()
    sender.join()
    before = list(acknowledged)
    assert 5 * PER_REQUEST <= len(before) < BULK_REQUESTS * PER_REQUEST
    with ServiceProcess(data_dir) as again, client_of(again) as client:
        there = {str(memory.id): memory.content for memory in client.iterate(space="bulk")}
        assert set(before) <= set(there)
        assert len(set(there.values())) == len(there)
        acknowledged.clear()
        send_all(again.url, key)
        everything = [memory.content for memory in client.iterate(space="bulk")]
        assert sorted(everything) == sorted(f"entry {n}-{i}" for n in range(BULK_REQUESTS) for i in range(PER_REQUEST))
        assert acknowledged[: len(before)] == before


def test_sigterm_finishes_the_request_in_flight(data_dir: Path) -> None:
    with ServiceProcess(data_dir) as service, client_of(service, timeout=120.0) as client:
        texts = [{"content": f"a sentence that takes its time to encode, number {n}. " * 6} for n in range(300)]
        answers: list[object] = []
        writer = threading.Thread(target=lambda: answers.append(client.add(space="late", texts=texts)))
        writer.start()
        time.sleep(0.3)
        os.kill(service.pid, signal.SIGTERM)
        writer.join()
        assert answers[0].receipt.created == 300
    with ServiceProcess(data_dir) as service, client_of(service) as client:
        assert client.spaces().items[0].memories == 300


def test_two_services_share_one_data_directory(data_dir: Path) -> None:
    with ServiceProcess(data_dir) as first, client_of(first) as one:
        with ServiceProcess(data_dir) as second, client_of(second) as two:
            one.add(texts=["Written through the first."])
            assert two.recall("written first").results[0].memory.content == "Written through the first."
        assert one.recall("written").results  # the second's end left the database running


def run_memsvc(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memsvc", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_mistyped_database_url_is_an_error_and_no_fall_back(data_dir: Path) -> None:
    for url in ("postgrse://localhost/x", "localhost:5432", "postgresql://nobody@127.0.0.1:1/none"):
        done = run_memsvc("serve", "--port", "0", MEMSVC_DATABASE_URL=url, MEMSVC_DATA_DIR=str(data_dir))
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert not data_dir.exists()


def test_serving_beyond_loopback_without_keys_is_refused(data_dir: Path) -> None:
    env = {"MEMSVC_DATA_DIR": str(data_dir)}
    refused = run_memsvc("serve", "--host", "0.0.0.0", "--port", "0", **env)  # noqa: S104
    assert refused.returncode == 1
    assert "memsvc keys create" in refused.stderr


def test_keys_are_made_listed_and_revoked(data_dir: Path) -> None:
    env = {"MEMSVC_DATA_DIR": str(data_dir)}
    with ServiceProcess(data_dir) as service:
        key = run_memsvc("keys", "create", "--principal", "bot", "--scopes", "read", **env).stdout.strip()
        assert key.startswith("msk_")
        assert "bot" in run_memsvc("keys", "list", **env).stdout
        with MemoryClient(service.url, key) as client:
            assert client.spaces().items == []
        assert run_memsvc("keys", "revoke", key.split("_")[1], **env).returncode == 0
        assert (
            "not known"
            in httpx.get(f"{service.url}/v1/spaces", headers={"Authorization": "Bearer msk_x_y"}, trust_env=False).text
        )


def test_doctor_finds_a_fresh_installation_fit(data_dir: Path) -> None:
    done = run_memsvc("doctor", MEMSVC_DATA_DIR=str(data_dir))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "encoder" in done.stdout


def test_logs_hold_no_memory_content(data_dir: Path) -> None:
    with ServiceProcess(data_dir) as service, client_of(service) as client:
        client.add(texts=["The combination is xyzzy-plugh."])
        client.recall("combination xyzzy-plugh")
        with httpx.Client(base_url=service.url, trust_env=False) as http:
            metrics = http.get("/metrics").text
            assert 'memsvc_http_requests_total{method="POST",route="/v1/recall",status="200"} 1.0' in metrics
            assert http.get("/readyz").json()["checks"] == {"database": "ok", "encoder": "ok"}
        log = service.log_file.read_text()
    assert "/v1/recall" in log
    assert "plugh" not in log
    for found in data_dir.rglob("*.log"):
        assert "plugh" not in found.read_text()
