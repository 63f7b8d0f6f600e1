"""Whom "she", "they" and "we" mean: someone named once, just before; nobody where two could be meant."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from memsvc.extraction import words
from memsvc.extraction.people import FEMALE, KIN, MALE, PETS, PLURALS, Cast, possessive
from memsvc.extraction.words import word_set

_RELATION = "|".join(sorted((re.escape(word) for word in KIN | PETS | PLURALS), key=len, reverse=True))
_RELATIVE = re.compile(
    rf"\b(?i:my|our)\s+((?:(?!and\b|with\b)[\w-]+\s+){{0,2}}?({_RELATION})\b(?!['’]s)(?:,?\s+([A-Z]\w+))?)", re.UNICODE
)
_NAME = re.compile(r"(?<![\w'’.-])([^\W\d_a-z][^\W\d_]+(?:\s[^\W\d_a-z][^\W\d_]+)?)(?![\w-])(?!['’]s)")
_PLACE_BEFORE = re.compile(
    r"\b(?:in|at|from|near|to|the|of|on|via|using|into|around|visit(?:ed)?|my|a|an|for|like)\s+$", re.IGNORECASE
)
_THING = re.compile(r"^(?:the|my|our)\s+(?:[\w-]+\s+){0,3}?[\w-]+$", re.IGNORECASE)
_TOGETHER = re.compile(
    r"\b((?i:my|our)\s+(?:[\w-]+\s+){0,2}?[\w-]+(?:\s+[A-Z]\w+)?"
    r"|[A-Z][\w-]+(?:\s[A-Z]\w+)?(?:,?\s+(?:and\s+)?[A-Z]\w+)?),?\s+and\s+I\b"
    r"|\b[Mm]e\s+and\s+((?i:my|our)\s+(?:[\w-]+\s+)?[\w-]+|[A-Z]\w+)"
)
_COMPANY = re.compile(rf"\bwith\s+((?i:my|our)\s+(?:[\w-]+\s+)?(?:{_RELATION}))\b")
_NO_PERSON = word_set(
    """
    January February March April May June July August September October November December Monday Tuesday
    Wednesday Thursday Friday Saturday Sunday I English Spanish French German Christmas Easter Thanksgiving
    """
)


@dataclass(frozen=True, slots=True)
class _Mention:
    sentence: int
    text: str
    sex: str  # "f", "m", "" when not known, "n" for a thing, "p" for several


@dataclass(slots=True)
class Mentions:
    """Who and what a turn has named so far."""

    cast: Cast
    _seen: list[_Mention] = field(default_factory=list)
    _group: tuple[int, str] = (-9, "")

    def at(self, sentence: int, text: str) -> Cast:
        """The cast for a clause: a pronoun has a name where exactly one thing named just before fits it."""
        near = [mention for mention in self._seen if sentence - mention.sentence <= 1]
        cast = self.cast
        # The clause's own "my wife and I ... we" counts as well.
        group = self._together(text) or (self._group[1] if sentence - self._group[0] <= 1 else "")
        if group:
            cast = replace(cast, we=group)
        return replace(
            cast,
            she=_only(near, ("f", "")),
            he=_only(near, ("m", "")),
            they=_only(near, ("p",)),
            it=_only(near, ("n",)),
        )

    def recall(self, sentence: int, name: str) -> None:
        """A pronoun of this sentence meant `name`: the next one may as well."""
        for mention in [known for known in self._seen if known.text == name][:1]:
            self._seen.append(replace(mention, sentence=sentence))

    def note(self, sentence: int, text: str, subject: str) -> None:
        """Remember whom a clause names; `subject` is the words of its subject."""
        if group := self._together(text) or self._company(text):
            self._group = (sentence, group)
        for mention in self._found(sentence, text, subject):
            if all(mention.text != known.text for known in self._seen[-8:] if known.sentence >= sentence - 1):
                self._seen.append(mention)

    def _found(self, sentence: int, text: str, subject: str) -> Iterator[_Mention]:
        taken: list[tuple[int, int]] = []
        for match in _RELATIVE.finditer(text):
            taken.append(match.span())
            noun = match[2].lower()
            sex = "p" if noun in PLURALS else "f" if noun in FEMALE else "m" if noun in MALE else ""
            yield _Mention(sentence, f"{possessive(self.cast.speaker)} {match[1].strip(' ,')}", sex)
        for match in _NAME.finditer(text):
            name = match[1]
            if any(left <= match.start() < right for left, right in taken) or name.split()[0] in _NO_PERSON:
                continue
            if name in (self.cast.speaker, self.cast.listener) or name.isupper():
                continue
            if _PLACE_BEFORE.search(text, max(0, match.start() - 12), match.start()):
                # A place or product: "she" cannot be meant.
                continue
            if words.is_common(name.split()[0].lower()):
                continue
            yield _Mention(sentence, name, "")
        noun = subject.rsplit(" ", 1)[-1].lower()
        if _THING.match(subject) and noun not in KIN | PETS | PLURALS and not noun.endswith("s"):
            resolved = re.sub(r"^(?:my|our)\b", possessive(self.cast.speaker), subject, flags=re.IGNORECASE)
            yield _Mention(
                sentence, resolved[0].lower() + resolved[1:] if resolved.startswith("The") else resolved, "n"
            )

    def _together(self, text: str) -> str:
        """ "My wife and I": who "we" are, here and next."""
        match = _TOGETHER.search(text)
        return self._with(match[1] or match[2]) if match is not None else ""

    def _company(self, text: str) -> str:
        """ "I went with my kids": who "we" are in the sentence after it."""
        match = _COMPANY.search(text)
        return self._with(match[1]) if match is not None else ""

    def _with(self, other: str) -> str:
        other = other.strip()
        if other.split()[0].lower() in words.PREPOSITIONS | words.SUBORDINATORS or other in _NO_PERSON:
            return ""
        other = re.sub(r"\b(?:my|our)\b", possessive(self.cast.speaker), other, flags=re.IGNORECASE)
        return f"{other} and {self.cast.speaker}"


def _only(near: list[_Mention], fitting: tuple[str, ...]) -> str:
    """The one mention that fits; one whose sex is told is not outdone by names that tell none."""
    fits = {mention.text for mention in near if mention.sex in fitting}
    return fits.pop() if len(fits) == 1 else ""
