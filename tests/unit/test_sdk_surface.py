"""The client's public surface is pinned, and both clients have the same."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import memsvc.sdk
from memsvc.sdk import AsyncMemoryClient, MemoryClient
from memsvc.sdk.requests import PatchFields, RecallOptions, WriteOptions
from memsvc.sdk.requests_upkeep import CompressOptions, ForgetOptions, UpkeepOptions
from memsvc.wire import MemoryPatch, RecallRequest, WriteRequest
from memsvc.wire.compressing import CompressRequest
from memsvc.wire.forgetting import ForgetRequest
from memsvc.wire.upkeep import UpkeepRequest

ROOT = Path(__file__).resolve().parents[2]

METHODS = {
    "add": "(self, *, messages=(), texts=(), idempotency_key=None, **options)",
    "add_many": "(self, items, *, batch_size=200, on_progress=None, idempotency_key=None, **options)",
    "close": "(self)",
    "context": "(self, query, **options)",
    "delete": "(self, memory_id, *, mode='erase', at=None, version=None)",
    "delete_recipe": "(self, space, name, *, version=None)",
    "get": "(self, memory_id, *, as_of_valid=None, as_of_known=None)",
    "get_recipe": "(self, space, name, *, version=None)",
    "health": "(self)",
    "iterate": "(self, **options)",
    "list": "(self, **options)",
    "list_recipes": "(self, space='default')",
    "ready": "(self)",
    "recall": "(self, query, **options)",
    "receipt": "(self, receipt_id)",
    "set_recipe": "(self, space, name, recipe, *, version=None)",
    "set_space": "(self, name, *, restricted=False, policies=None)",
    "spaces": "(self)",
    "update": "(self, memory_id, *, version=None, **patch)",
    "wait_searchable": "(self, receipt_id, *, timeout=60.0)",
}

GROUPS = {
    "upkeep": {
        "compress": "(self, **options)",
        "conflicts": "(self, *, space='default', state=None, limit=100, cursor=None)",
        "consolidate": "(self, **options)",
        "feedback": "(self, memories, verdict, *, episode=None, note=None)",
        "forget": "(self, **options)",
        "iterate_conflicts": "(self, *, space='default', state=None, limit=100)",
        "proposals": "(self, *, space='default')",
        "restore": "(self, memory_id, *, level='memory', dry_run=False, reason=None)",
        "retention": "(self, memory_id)",
        "settle": "(self, conflict_id, keep, *, reason=None)",
        "usage": "(self, *, days=30)",
    },
    "scratch": {
        "delete": "(self, session, *, space='default', revision=None)",
        "get": "(self, session, *, space='default', revision=None)",
        "iterate_revisions": "(self, session, *, space='default', limit=50)",
        "prune": "(self, session, ids, summary, *, summary_id=None, **options)",
        "revisions": "(self, session, *, space='default', before=None, limit=50)",
        "rewrite": "(self, session, entries, *, scope='all', on_overflow='refuse', **options)",
        "set_limit": "(self, session, token_limit, *, on_overflow='refuse', space='default', revision=None)",
        "write": "(self, session, entries, *, on_overflow='refuse', **options)",
    },
    "jobs": {
        "get": "(self, job_id)",
        "iterate": "(self, *, state=None, job=None, space=None, limit=100)",
        "list": "(self, *, state=None, job=None, space=None, limit=100, cursor=None)",
        "progress": "(self, space='default')",
        "requeue": "(self, job_id)",
    },
}


def signatures(client: type) -> dict[str, str]:
    found = {}
    for name, method in inspect.getmembers(client, inspect.isfunction):
        if not name.startswith("_"):
            signature = inspect.signature(method)
            bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
            found[name] = str(inspect.Signature(bare))
    return found


def test_exported_names() -> None:
    assert sorted(memsvc.sdk.__all__) == [
        "ApiError",
        "AsyncMemoryClient",
        "BulkResult",
        "Busy",
        "Conflict",
        "ConnectionFailed",
        "FieldProblem",
        "Filters",
        "Forbidden",
        "InvalidRequest",
        "LegalHold",
        "MemoryClient",
        "MemsvcClientError",
        "MessageIn",
        "NotFound",
        "PreconditionFailed",
        "TextIn",
        "TimedOut",
        "TooLarge",
        "Unauthenticated",
        "Unavailable",
    ]
    assert all(hasattr(memsvc.sdk, name) for name in memsvc.sdk.__all__)


def test_methods_and_parameters() -> None:
    assert signatures(MemoryClient) == METHODS


def test_the_asynchronous_client_differs_in_concurrency_and_aclose_alone() -> None:
    expected = METHODS | {
        "aclose": METHODS["close"],
        "add_many": METHODS["add_many"].replace("batch_size=200,", "batch_size=200, concurrency=4,"),
    }
    del expected["close"]
    assert signatures(AsyncMemoryClient) == expected


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("client", [MemoryClient, AsyncMemoryClient])
def test_methods_of_groups(client: type[MemoryClient | AsyncMemoryClient], group: str) -> None:
    assert signatures(type(getattr(client("http://memsvc.test", "k"), group))) == GROUPS[group]


def test_constructor() -> None:
    parameters = inspect.signature(MemoryClient).parameters
    assert list(parameters) == ["url", "api_key", "timeout", "retries", "transport"]
    assert list(inspect.signature(AsyncMemoryClient).parameters) == list(parameters)


def test_the_synchronous_client_is_generated_from_the_present_asynchronous_one() -> None:
    command = [sys.executable, str(ROOT / "tools" / "generate_sync.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_options_are_the_fields_of_the_requests() -> None:
    assert set(WriteOptions.__annotations__) == set(WriteRequest.model_fields) - {"messages", "texts"}
    assert set(RecallOptions.__annotations__) == set(RecallRequest.model_fields) - {"query"} | {"space"}
    assert set(PatchFields.__annotations__) == set(MemoryPatch.model_fields)
    assert set(UpkeepOptions.__annotations__) == set(UpkeepRequest.model_fields)
    assert set(ForgetOptions.__annotations__) == set(ForgetRequest.model_fields)
    assert set(CompressOptions.__annotations__) == set(CompressRequest.model_fields)


def test_the_client_imports_nothing_of_the_service() -> None:
    code = "import sys, memsvc.sdk; print(*sorted(name for name in sys.modules if name.startswith('memsvc.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    allowed = {"memsvc.wire", "memsvc.sdk"}
    found = {name for name in done.stdout.split() if not name.startswith(("memsvc.sdk.", "memsvc.wire."))}
    assert found == allowed
