"""Other principals of a test's tenant, each with a key of its own."""

from dataclasses import dataclass

import httpx

from memsvc.deployment import Deployment
from memsvc.store.keys import create_key
from tests.integration.conftest import Service


@dataclass(frozen=True)
class Person:
    """A principal that speaks to the service."""

    name: str
    client: httpx.AsyncClient
    headers: dict[str, str]

    async def call(self, method: str, path: str, **options: object) -> httpx.Response:
        return await self.client.request(method, path, headers=self.headers, **options)

    async def get(self, path: str, **params: object) -> dict:
        response = await self.call("GET", path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: dict | None = None, *, status: int = 200) -> dict:
        response = await self.call("POST", path, json=body or {})
        assert response.status_code == status, response.text
        return response.json()

    async def add(self, content: str, **fields: object) -> str:
        """Store one fact and return its id; `space` names the space, the rest belongs to the fact."""
        space = fields.pop("space", "default")
        body = {"space": space, "texts": [{"content": content, **fields}]}
        return (await self.post("/v1/memories", body, status=201))["items"][0]["id"]

    async def contents(self, space: str = "default") -> list[str]:
        """What a listing shows."""
        return [item["content"] for item in (await self.get("/v1/memories", space=space))["items"]]


def person(service: Service, deployment: Deployment, name: str, scopes: tuple[str, ...] = ("read", "write")) -> Person:
    """A principal of the tenant of `service`."""
    key = create_key(deployment.owner_url, tenant=service.caller.tenant, principal=name, scopes=scopes)
    return Person(name, service.client, {"Authorization": f"Bearer {key.key}"})


async def restrict(service: Service, space: str, owner: Person) -> None:
    """Let `owner` make a space that is not open."""
    response = await owner.call("PUT", f"/v1/spaces/{space}", json={"open": False})
    assert response.status_code == 200, response.text
