"""Confidence over the API, on a real Postgres. The encoder of the tests is not calibrated: words speak."""

from tests.integration.conftest import Service

ROWING = (
    "I went rowing on the lake with Marta this morning.",
    "Our rowing club meets on Saturdays at the boathouse.",
    "The new rowing boat is called Gannet.",
    "I had soup for lunch.",
    "My sister moved to Leeds.",
    "The printer is out of ink again.",
)


async def test_what_was_talked_of_is_trusted_more_than_what_was_not(service: Service) -> None:
    await service.add(messages=[{"role": "user", "content": text} for text in ROWING])
    told = await service.recall("When does the rowing club meet?")
    untold = await service.recall("Which violin concerto did the orchestra rehearse?")
    assert 0 <= untold["confidence"] < told["confidence"] <= 1
    assert not told["no_evidence"]
    assert told["signals"] == {}


async def test_an_empty_space_has_no_evidence(service: Service) -> None:
    for recipe in ("fast", "balanced"):
        found = await service.recall("When does the rowing club meet?", recipe=recipe)
        assert (found["confidence"], found["no_evidence"], found["results"]) == (0, True, [])


async def test_explain_shows_what_confidence_was_made_of(service: Service) -> None:
    await service.add(messages=[{"role": "user", "content": text} for text in ROWING])
    found = await service.recall("When does the rowing club meet?", explain=True)
    assert {"around_best", "around_fifth", "held", "covered", "rarity"} <= set(found["signals"])
    assert "covered_tenth" not in found["signals"]  # there is no tenth memory


async def test_words_speak_while_the_encoder_is_down(service: Service) -> None:
    await service.add(messages=[{"role": "user", "content": text} for text in ROWING])
    with_vectors = await service.recall("When does the rowing club meet?")
    service.encoder.fail = True
    found = await service.recall("When does the rowing club meet")  # the query above has its vector already
    assert found["degraded"]
    assert found["confidence"] == with_vectors["confidence"]


async def test_a_recall_that_could_not_look_says_nothing(service: Service) -> None:
    await service.add(messages=[{"role": "user", "content": text} for text in ROWING])
    made = await service.client.put(
        "/v1/spaces/default/recipes/vectors",
        json={"base": "balanced", "weights": {"lexical": 0, "lexical_window": 0, "late": 0}},
    )
    assert made.status_code == 200, made.text
    service.encoder.fail = True
    found = await service.recall("When does the rowing club meet?", recipe="vectors")
    assert (found["confidence"], found["no_evidence"], found["results"]) == (None, False, [])


async def test_another_ones_words_are_trusted_less(service: Service) -> None:
    await service.add(
        messages=[
            {"role": "user", "name": "Ana", "content": "I bought a red kayak in Porto."},
            {"role": "user", "name": "Bo", "content": "I like the theatre in Lyon."},
            {"role": "user", "name": "Ana", "content": "The kayak cost ninety euros."},
            {"role": "user", "name": "Bo", "content": "The play was long."},
        ]
    )
    hers, his = await service.recall("Where did Ana buy a kayak?"), await service.recall("Where did Bo buy a kayak?")
    assert his["confidence"] < hers["confidence"]


async def test_the_context_says_it_too(service: Service) -> None:
    answer = await service.client.post("/v1/context", json={"query": "When does the rowing club meet?"})
    assert (answer.json()["confidence"], answer.json()["no_evidence"]) == (0, True)
