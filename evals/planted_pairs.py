"""The planted cases that are hand-written pairs of lines: refinements, look-alikes, contradictions."""

from collections.abc import Iterator
from random import Random

from evals.planted_model import Attribute, Case, Contradiction, LookAlike, pair_split, wording
from evals.planted_talk import Talk


def of_pairs(seed: int) -> Iterator[Case]:
    """All of them."""
    said = wording()
    for attribute in said.attributes:
        for number in range(len(attribute.refined)):
            yield refinement(seed, attribute, number)
    for number, lookalike in enumerate(said.lookalikes):
        yield look_alike(seed, lookalike, number)
    for number, contradiction in enumerate(said.contradictions):
        yield contradicted(seed, contradiction, number)


def refinement(seed: int, attribute: Attribute, number: int) -> Case:
    """Vague, then precise: nothing was different before."""
    name = f"{attribute.key}-refinement-{number + 1}"
    talk = _talk(seed, name)
    coarse, fine = attribute.refined[number]
    talk.chat()
    first = talk.say(talk.fill(coarse))
    talk.later((1, 60))
    talk.chat(2)
    second = talk.say(talk.fill(fine))
    return talk.case(
        name=name,
        category="refinement",
        kind="refinement",
        attribute=attribute.key,
        split="test" if attribute.split == "test" else pair_split(coarse),
        question=talk.question(attribute),
        answers=[second],
        keep=[(first, second)],
    )


def look_alike(seed: int, pair: LookAlike, number: int) -> Case:
    """Both hold."""
    name = f"look-alike-{number + 1}"
    talk = _talk(seed, name)
    talk.chat()
    first = talk.say(pair.first)
    talk.later()
    talk.chat(2)
    second = talk.say(pair.second)
    talk.chat(1)
    return talk.case(
        name=name,
        category="look-alike",
        kind="look-alike",
        attribute=pair.about,
        split=pair_split(pair.first),
        question=pair.question,
        answers=[line for line, mark in ((first, "1"), (second, "2")) if mark in pair.answer],
        keep=[(first, second)],
    )


def contradicted(seed: int, pair: Contradiction, number: int) -> Case:
    """One of them is wrong, and time does not tell which."""
    name = f"contradiction-{number + 1}"
    talk = _talk(seed, name)
    talk.chat()
    first = talk.say(pair.first)
    talk.later()
    talk.chat(2)
    second = talk.say(pair.second)
    return talk.case(
        name=name,
        category="contradiction",
        kind="contradiction",
        attribute=pair.about,
        split=pair_split(pair.first),
        question=pair.question,
        answers=[first, second],
        keep=[(first, second), (second, first)],
        conflict="must",
    )


def _talk(seed: int, name: str) -> Talk:
    random = Random(f"{seed}:{name}")  # noqa: S311 - made-up talk
    return Talk(random, named=random.random() < 0.5)
