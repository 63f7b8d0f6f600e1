"""Token codes are stored with every vector, travel with it, and rank what recall found."""

import re
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from sqlalchemy import Connection, text

from memsvc.consolidation.jobs import embed_pending
from memsvc.deployment import Deployment
from memsvc.ids import SpaceId
from memsvc.inference.fake import FakeEncoder
from memsvc.inference.token_codes import TOKEN_BYTES, pack, project
from memsvc.inference.types import Embeddings, Prepared, QueryEmbedding
from tests.integration.conftest import NOW, Service, open_service

WORD = re.compile(r"\w+")
TALK = [
    ("user", "Where do you keep the canoe?"),
    ("assistant", "In the shed behind the mill."),
    ("user", "I bought a tent for the summer."),
]


class TellingEncoder(FakeEncoder):
    """Tells its tokens: each word by itself, whatever its company."""

    batch_tokens = 512
    lanes = 1

    def prepare_documents(self, texts: Sequence[str]) -> list[Prepared]:
        return [Prepared(tokens, text) for tokens, text in zip(self.count_tokens(texts), texts, strict=True)]

    def encode_prepared(self, documents: Sequence[Prepared]) -> Embeddings:
        texts = [str(document.payload) for document in documents]
        vectors = self.encode_documents(texts)
        return Embeddings(vectors, [pack(self._words(WORD.findall(said))) for said in texts])

    def embed_queries(self, texts: Sequence[str]) -> list[QueryEmbedding]:
        vectors = self.encode_queries(texts)
        found = [list(WORD.finditer(said)) for said in texts]
        return [
            QueryEmbedding(
                vector.copy(),
                project(self._words([word.group() for word in words])),
                np.array([word.span() for word in words], np.int64).reshape(-1, 2),
            )
            for vector, words in zip(vectors, found, strict=True)
        ]

    def _words(self, words: Sequence[str]) -> np.ndarray:
        return FakeEncoder(dimension=self.spec.dimension).encode_documents(list(words)) if words else np.empty((0, 256))


@pytest.fixture
async def telling(deployment: Deployment) -> AsyncIterator[Service]:
    async with open_service(deployment, clock=lambda: NOW, encoder=TellingEncoder(dimension=256)) as opened:
        yield opened


async def tell(service: Service) -> None:
    await service.add(session="talk", messages=[{"role": role, "content": said} for role, said in TALK])


def late_of(found: dict) -> dict[str, float]:
    """The raw late interaction of each result."""
    return {
        result["memory"]["content"]: reason["raw"]
        for result in found["results"]
        for reason in result["reasons"]
        if reason["stage"] == "late"
    }


def tokens_held(owner: Connection, service: Service) -> dict[str, int | None]:
    """How many token codes each content of the tenant has."""
    rows = owner.execute(
        text(
            "SELECT v.content, octet_length(c.codes) AS size FROM chunks c JOIN contents v "
            "ON v.tenant_id = c.tenant_id AND v.memory_id = c.memory_id AND v.number = c.content_number "
            "WHERE c.tenant_id = :tenant"
        ),
        {"tenant": service.caller.tenant_id},
    )
    return {row.content: None if row.size is None else row.size // TOKEN_BYTES for row in rows}


async def test_every_write_stores_the_codes_of_its_tokens(telling: Service, owner: Connection) -> None:
    await tell(telling)
    assert tokens_held(owner, telling) == {said: len(WORD.findall(said)) for _, said in TALK}


async def test_what_is_embedded_later_has_its_codes_then(telling: Service, owner: Connection) -> None:
    telling.encoder.fail = True
    await tell(telling)
    assert set(tokens_held(owner, telling).values()) == {None}
    telling.encoder.fail = False
    space = owner.execute(text("SELECT id FROM spaces WHERE tenant_id = :t"), {"t": telling.caller.tenant_id}).scalar()
    await embed_pending(telling.services.ingest, telling.caller.tenant_id, SpaceId(space))
    assert tokens_held(owner, telling) == {said: len(WORD.findall(said)) for _, said in TALK}


async def test_an_edit_has_codes_of_its_own(telling: Service, owner: Connection) -> None:
    await telling.add(texts=[{"content": "The tent is red."}])
    found = await telling.recall("tent")
    memory = found["results"][0]["memory"]
    response = await telling.client.patch(f"/v1/memories/{memory['id']}", json={"content": "The tent is bright green."})
    assert response.status_code == 200, response.text
    assert tokens_held(owner, telling) == {"The tent is red.": 4, "The tent is bright green.": 5}


async def test_a_fork_takes_the_codes_along(telling: Service) -> None:
    await tell(telling)
    response = await telling.client.post("/v1/spaces/default/fork", json={"to": "trial"})
    assert response.status_code == 201, response.text
    found = await telling.recall("canoe", spaces=["trial"], explain=True)
    assert late_of(found) == pytest.approx(late_of(await telling.recall("canoe", explain=True)))
    assert late_of(found)


@pytest.mark.parametrize("embeddings", ["true", "false"])
async def test_a_bundle_takes_the_codes_along_with_the_vectors(
    telling: Service, deployment: Deployment, embeddings: str
) -> None:
    await tell(telling)
    bundle = (await telling.client.get("/v1/spaces/default/export", params={"embeddings": embeddings})).content
    async with open_service(deployment, clock=lambda: NOW, encoder=TellingEncoder(dimension=256)) as elsewhere:
        response = await elsewhere.client.post("/v1/spaces/default/import", content=bundle)
        assert response.status_code == 201, response.text
        found = late_of(await elsewhere.recall("canoe", explain=True))
    expected = late_of(await telling.recall("canoe", explain=True)) if embeddings == "true" else {}
    assert found == pytest.approx(expected)
    assert bool(expected) is (embeddings == "true")


async def test_the_best_match_of_each_word_counts_in_the_turn_and_around_it(telling: Service) -> None:
    await tell(telling)
    found = late_of(await telling.recall("canoe mill", explain=True))
    question, answer, tent = (found[said] for _, said in TALK)
    # Both words stand in the question and the answer together, each in one of the two.
    assert question == pytest.approx((1 + 0.85) / 2, abs=0.08)
    assert answer == pytest.approx((0.92 + 1) / 2, abs=0.08)
    assert tent < min(question, answer)


async def test_what_is_not_asked_for_does_not_speak_for_its_neighbours(telling: Service) -> None:
    await tell(telling)
    everything = late_of(await telling.recall("canoe mill", explain=True))
    answers = late_of(await telling.recall("canoe mill", explain=True, filters={"roles": ["assistant"]}))
    # Among answers alone, "canoe" is a word that nobody said, and weighs five times as much as "mill".
    assert answers == {TALK[1][1]: pytest.approx(1 / 6, abs=0.08)}
    assert answers[TALK[1][1]] < everything[TALK[1][1]] - 0.5


async def test_a_recipe_can_do_without_it(telling: Service) -> None:
    await tell(telling)
    response = await telling.client.put("/v1/spaces/default/recipes/plain", json={"weights": {"late": 0}})
    assert response.status_code in {200, 201}, response.text
    assert late_of(await telling.recall("canoe", recipe="plain", explain=True)) == {}
    assert late_of(await telling.recall("canoe", recipe="fast", explain=True)) == {}


async def test_an_encoder_that_tells_no_tokens_does_without_it(service: Service) -> None:
    await tell(service)
    found = await service.recall("canoe", explain=True)
    assert found["results"]
    assert late_of(found) == {}


async def test_what_was_stored_without_codes_is_neither_praised_nor_blamed(
    telling: Service, deployment: Deployment, owner: Connection
) -> None:
    await tell(telling)
    owner.execute(
        text("UPDATE chunks SET codes = NULL WHERE tenant_id = :t AND number = 1"), {"t": telling.caller.tenant_id}
    )
    owner.commit()
    found = await telling.recall("canoe mill", explain=True)
    late = {
        result["memory"]["content"]: reason
        for result in found["results"]
        for reason in result["reasons"]
        if reason["stage"] == "late"
    }
    known = [late[said]["contribution"] for _, said in TALK[1:]]
    assert late[TALK[0][1]]["contribution"] == pytest.approx(sum(known) / len(known), rel=1e-4)
