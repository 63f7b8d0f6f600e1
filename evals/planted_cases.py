"""The planted cases that are made of attributes: one function tells one kind of case."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from evals.planted_model import Attribute, Case, Category, Conflict, Pair, Split, wording
from evals.planted_talk import Talk

CORRECTIONS = (
    "Correction: I got {topic} wrong earlier. {say}",
    "Scratch what I told you about {topic}: {v}, not {o}.",
    "I mixed something up the other day. It isn't {o}: {say}",
    "Please forget {o}. {say}",
)
ECHOES = (
    "As you told me, {you}.",
    "Right, {you}, so I would look for something that fits that.",
    "I remember that {you}. Anything else I should keep in mind?",
    'You said: "{say}"',
    "Since {you}, here are two ideas. The first is simple, the second takes longer.",
    "Just to recap what I know so far: {you}.",
    "{say}",
    "From my notes: {say}",
    "Given that {you}, I think we can keep it short.",
)
FRIENDS = ("Oh right, {you}!", "So {you}, cool.", "Wait, {you}? I had no idea.", "I keep forgetting that {you}.")
ACKNOWLEDGED = ("Got it, {you} now.", "Noted: {you}.", "Thanks for telling me that {you}.", "Okay! So {you}.")
QUOTES = (
    '{p} told me "{say}"',
    'And then the man on the train goes, "{say}"',
    'There is a line in that novel: "{say}"',
    '{p} posted "{say}" and got forty likes.',
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a kind of case has told: the rest of the case follows from it."""

    answers: Sequence[str]
    expected: Sequence[Pair] = ()
    allowed: Sequence[Pair] = ()
    keep: Sequence[tuple[str, str]] = ()
    conflict: Conflict = "no"


@dataclass(frozen=True, slots=True)
class Phrases:
    """Chooses wording: `split` dev leaves out the last of each list, `held` takes no other; test takes any."""

    random: Random
    split: Split
    held: bool

    def of(self, choices: Sequence[str]) -> str:
        """One for the line that matters."""
        if self.held:
            return choices[-1]
        return self.random.choice(choices[:-1] if self.split == "dev" and len(choices) > 1 else choices)

    def any_of(self, choices: Sequence[str]) -> str:
        """One for a line that only sets the scene; never the last of a list in dev."""
        return self.random.choice(choices[:-1] if self.split == "dev" and len(choices) > 1 else choices)


Teller = Callable[[Talk, Attribute, Phrases], Told]


def update(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """It changed, and the words say so."""
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later()
    talk.chat()
    second = talk.say(talk.fill(phrases.of(attribute.changes), new, old))
    if talk.random.random() < 0.3:
        _acknowledge(talk, attribute, phrases, new)
    talk.chat(1)
    return Told([second], [Pair((first,), (second,))], conflict="may")


def implicit(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """It changed, and is told as if for the first time, months later."""
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later((60, 400))
    talk.chat()
    second = talk.say(talk.fill(phrases.of(attribute.says), new))
    return Told([second], [Pair((first,), (second,))], conflict="may")


def correction(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """The speaker takes back what was said."""
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later((1, 10))
    say = talk.fill(phrases.any_of(attribute.says), new)
    second = talk.say(
        phrases.of(CORRECTIONS).format(topic=talk.fill(attribute.topic), say=say, v=new, o=old), plain=True
    )
    talk.chat(2)
    return Told([second], [Pair((first,), (second,))], conflict="may")


def backfill(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """The later statement is stored first; the earlier one arrives afterwards, as when a log is imported."""
    old, new = talk.random.sample(attribute.values, 2)
    talk.chat(1)
    current = talk.say(talk.fill(phrases.of(attribute.says), new))
    talk.earlier()
    past = talk.say(talk.fill(phrases.any_of(attribute.says), old))
    talk.chat(1)
    return Told([current], [Pair((past,), (current,))], keep=[(current, past)], conflict="may")


def compound(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """One turn tells two things, and one of them changes."""
    other = talk.random.choice([a for a in wording().attributes if a.split == attribute.split and a != attribute])
    old, new = talk.random.sample(attribute.values, 2)
    parts = [
        talk.fill(phrases.any_of(attribute.says), old),
        talk.fill(phrases.any_of(other.says), talk.random.choice(other.values)),
    ]
    talk.random.shuffle(parts)
    first = talk.say(" ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts), plain=True)
    talk.chat(1)
    talk.later()
    second = talk.say(talk.fill(phrases.of(attribute.changes), new, old))
    return Told([second], [Pair((first,), (second,), about=old)], conflict="may")


def repeated(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """Told twice in other words, then changed."""
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later((3, 40))
    again = talk.say(talk.fill(phrases.any_of(attribute.says), old))
    talk.later()
    second = talk.say(talk.fill(phrases.of(attribute.changes), new, old))
    return Told([second], [Pair((first, again), (second,))], keep=[(first, again)], conflict="may")


def told_by_another(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """A project's fact changes, and somebody else reports it."""
    talk.named = True
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later()
    talk.chat(1)
    second = talk.reply(talk.fill(phrases.of(attribute.changes), new, old))
    return Told([second], [Pair((first,), (second,))], conflict="may")


def chain(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """It changed twice."""
    one, two, three = talk.random.sample(attribute.values, 3)
    first = _state(talk, attribute, phrases, one)
    talk.later()
    second = talk.say(talk.fill(phrases.any_of(attribute.changes), two, one))
    talk.later()
    talk.chat(1)
    third = talk.say(talk.fill(phrases.of(attribute.changes), three, two))
    return Told([third], [Pair((first,), (second, third)), Pair((second,), (third,))], conflict="may")


def reversal(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """It changed, and changed back."""
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later()
    second = talk.say(talk.fill(phrases.any_of(attribute.changes), new, old))
    talk.later()
    talk.chat(2)
    third = talk.say(talk.fill(phrases.of(attribute.changes), old, new))
    # What the first line told may be revived by the third: only what the second told must be over.
    return Told([third], [Pair((second,), (third, first))], [Pair((first,), (second, third))], conflict="may")


def third_person(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """The same of somebody or something else."""
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later()
    talk.chat(2)
    second = talk.say(talk.fill(phrases.of(attribute.others), new))
    return Told([first], keep=[(first, second)])


def other_speaker(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """The other side says the same of itself."""
    talk.named = True
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later()
    said = phrases.of(attribute.says if talk.random.random() < 0.5 else attribute.changes)
    second = talk.reply(talk.fill(said, new, talk.random.choice([v for v in attribute.values if v != new])))
    talk.chat(1)
    return Told([first], keep=[(first, second)])


def other_space(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """The same words in another space."""
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later()
    second = talk.say(talk.fill(phrases.of(attribute.changes), new, old), space="other")
    return Told([first], keep=[(first, second)])


def echo(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """The agent, or a friend, repeats what it was told."""
    value = talk.random.choice(attribute.values)
    say = phrases.any_of(attribute.says)
    talk.chat(1)
    first = talk.say(talk.fill(say, value), plain=True)
    talk.later((1, 60))
    talk.chat(2)
    second = _echo(talk, attribute, phrases, value, say)
    talk.chat(1)
    return Told([first], keep=[(first, second)])


def stale_echo(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """The agent repeats what was so, after it has changed."""
    old, new = talk.random.sample(attribute.values, 2)
    say = phrases.any_of(attribute.says)
    first = talk.say(talk.fill(say, old), plain=True)
    talk.later()
    second = talk.say(talk.fill(phrases.any_of(attribute.changes), new, old))
    talk.later((1, 20))
    talk.chat(1)
    third = _echo(talk, attribute, phrases, old, say)
    return Told([second], [Pair((first,), (second,))], keep=[(second, third)], conflict="may")


def negation(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """It is over, and nothing takes its place."""
    old = talk.random.choice(attribute.values)
    first = _state(talk, attribute, phrases, old)
    talk.later()
    talk.chat(1)
    second = talk.say(talk.fill(talk.random.choice(attribute.ended), old=old))
    return Told([second], [Pair((first,), (second,))], conflict="may")


def hypothetical(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """A question, a wish, a supposition."""
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later()
    talk.chat(1)
    second = talk.say(talk.fill(phrases.of(attribute.mused), new), plain=talk.random.random() < 0.5)
    return Told([first], keep=[(first, second)])


def quote(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """Somebody else's words, quoted."""
    old, new = talk.random.sample(attribute.values, 2)
    first = _state(talk, attribute, phrases, old)
    talk.later()
    say = talk.fill(attribute.says[0], new)
    second = talk.say(phrases.of(QUOTES).format(p=talk.third, say=say), plain=True)
    talk.chat(1)
    return Told([first], keep=[(first, second)])


def same_moment(talk: Talk, attribute: Attribute, phrases: Phrases) -> Told:
    """Two values at one moment: nothing says which came later."""
    one, two = talk.random.sample(attribute.values, 2)
    first = talk.say(talk.fill(phrases.any_of(attribute.says), one), plain=True)
    talk.aside()
    second = talk.say(talk.fill(phrases.of(attribute.says), two), plain=True)
    return Told([first, second], keep=[(first, second), (second, first)], conflict="must")


# What is told of every attribute, how often on average, and of which attributes.
PLAN: tuple[tuple[Category, Teller, float], ...] = (
    ("update", update, 2.0),
    ("update", implicit, 0.7),
    ("update", correction, 0.5),
    ("update", backfill, 0.4),
    ("update", compound, 0.4),
    ("update", repeated, 0.4),
    ("update", told_by_another, 0.6),
    ("update", chain, 0.3),
    ("reversal", reversal, 0.8),
    ("other subject", third_person, 0.9),
    ("other subject", other_speaker, 0.7),
    ("other subject", other_space, 0.4),
    ("echo", echo, 1.2),
    ("echo", stale_echo, 0.6),
    ("negation", negation, 1.6),
    ("hypothetical", hypothetical, 0.9),
    ("quote", quote, 0.5),
    ("contradiction", same_moment, 0.4),
)
_HELD = 0.22


def of_attributes(seed: int) -> Iterator[Case]:
    """All cases of all attributes."""
    for attribute in wording().attributes:
        for category, teller, often in PLAN:
            if not _fits(teller, attribute):
                continue
            for number in range(_times(attribute.key, teller, often)):
                yield _case(seed, attribute, category, teller, number)


def _case(seed: int, attribute: Attribute, category: Category, teller: Teller, number: int) -> Case:
    name = f"{attribute.key}-{teller.__name__}-{number + 1}"
    random = Random(f"{seed}:{name}")  # noqa: S311 - made-up talk
    # There is one wording for the end of a thing, which must not be in both splits.
    may_hold = attribute.split == "dev" and attribute.whole is None and teller is not negation
    held = may_hold and random.random() < _HELD
    split: Split = "test" if held else attribute.split
    talk = Talk(random, named=random.random() < 0.5)
    told = teller(talk, attribute, Phrases(random, "test" if attribute.whole else attribute.split, held))
    return talk.case(
        name=name,
        category=category,
        kind=teller.__name__,
        attribute=attribute.key,
        split=split,
        question=talk.question(attribute),
        answers=told.answers,
        expected=told.expected,
        allowed=told.allowed,
        keep=told.keep,
        conflict=told.conflict,
    )


def _fits(teller: Teller, attribute: Attribute) -> bool:
    if teller is told_by_another:
        return attribute.thing
    if teller is other_speaker:
        return not attribute.thing
    return teller is not negation or bool(attribute.ended)


def _times(key: str, teller: Teller, often: float) -> int:
    whole = int(often)
    return whole + (Random(f"{key}:{teller.__name__}").random() < often - whole)  # noqa: S311 - made-up talk


def _state(talk: Talk, attribute: Attribute, phrases: Phrases, value: str) -> str:
    talk.chat()
    return talk.say(talk.fill(phrases.any_of(attribute.says), value))


def _acknowledge(talk: Talk, attribute: Attribute, phrases: Phrases, value: str) -> str:
    you = talk.fill(phrases.any_of(attribute.you), value)
    return talk.reply(_sentence(phrases.any_of(ACKNOWLEDGED).format(you=you)), echo=True)


def _echo(talk: Talk, attribute: Attribute, phrases: Phrases, value: str, say: str) -> str:
    wordings = FRIENDS if talk.named else ECHOES
    you = talk.fill(phrases.any_of(attribute.you), value)
    text = phrases.of(wordings).format(you=you, say=talk.fill(say, value))
    return talk.reply(_sentence(text), echo=True)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
