"""What computes for seconds in a large batch does so beside the event loop, which answers everybody's requests."""

import threading
from collections.abc import Callable

import pytest

from memsvc.upkeep import concepts, consolidate, forget, hearing, summarize, topics
from tests.integration.conftest import Clock, Service

HEAVY = (
    (consolidate, "listen"),
    (consolidate, "wanted_by"),
    (consolidate, "decide"),
    (hearing, "facts_of"),
    (hearing, "replies_of"),
    (summarize, "plan_summaries"),
    (topics, "plan_topics"),
    (concepts, "plan_concepts"),
    (concepts, "learn"),
    (forget, "choose"),
)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[int]]:
    """The threads that each of `HEAVY` ran in."""
    threads: dict[str, set[int]] = {name: set() for _, name in HEAVY}

    def noting(name: str, real: Callable) -> Callable:
        def note(*args: object, **options: object) -> object:
            threads[name].add(threading.get_ident())
            return real(*args, **options)

        def walk(*args: object, **options: object) -> object:
            for one in real(*args, **options):
                threads[name].add(threading.get_ident())
                yield one

        return walk if name == "choose" else note

    for module, name in HEAVY:
        monkeypatch.setattr(module, name, noting(name, getattr(module, name)))
    return threads


async def post(service: Service, path: str, **request: object) -> dict:
    response = await service.client.post(path, json=request)
    assert response.status_code < 300, response.text
    return response.json()


async def test_upkeep_computes_beside_the_event_loop(service: Service, clock: Clock, ran: dict[str, set[int]]) -> None:
    turns = [{"role": "user", "name": "Ana", "content": f"I live in house {number} now."} for number in range(8)]
    said = (await service.add(session="monday", messages=turns))["items"]
    for episode in ("one", "two"):
        await post(service, "/v1/feedback", memories=[one["id"] for one in said], verdict="success", episode=episode)
    await post(service, "/v1/consolidate")
    faded = {"policies": {"forget": {"after": {"archive_below": 0.99}}}}
    answer = await service.client.put("/v1/spaces/default", json=faded)
    assert answer.status_code == 200, answer.text
    clock.advance(days=100)
    await post(service, "/v1/forget", limit=1)
    await post(service, "/v1/forget", share=0.5)
    assert {name: bool(threads) for name, threads in ran.items()} == dict.fromkeys(ran, True)
    assert not [name for name, threads in ran.items() if threading.get_ident() in threads]
