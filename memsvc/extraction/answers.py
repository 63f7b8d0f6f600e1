"""Elliptical answers: "Rome!" says nothing by itself, but with its question it does."""

import re
from collections.abc import Sequence

from memsvc.extraction.entities import find_entities
from memsvc.extraction.model import Fact, Said
from memsvc.extraction.people import Cast
from memsvc.extraction.sentences import sentences, without_emoji
from memsvc.text.analysis import STOP_WORDS, fold

_WH = re.compile(
    r"(?:^|[,.!]\s+|\band\s+|\bso\s+)((?:what|where|when|who|which|how\s+(?:old|many|much|long|often|far|big))\b[^?]{6,140})\?\s*$",
    re.IGNORECASE,
)
_REACTION = re.compile(
    r"\b(?:yes|yeah|yep|no|nope|sure|thanks|thank|wow|cool|great|awesome|nice|absolutely|definitely|exactly|totally|haha|lol"
    r"|congrats|sorry|good|amazing|love|hey|hi|hello|oh|well|ok|okay|right|true|agreed|bye|sounds|nothing|idk|you|that|this"
    r"|it|course|maybe|please|not|so|glad|happy|hmm|aw+|gosh|wonderful|fantastic|incredible|perfect|beautiful|same|why|what)\b",
    re.IGNORECASE,
)
_VERBS = re.compile(
    r"\b(?:i|we|is|are|was|were|am|'s|'m|have|has|had|do|did|will|can|could|would|let)\b|['’](?:m|ve|ll|d|re|s)\b",
    re.IGNORECASE,
)
_MATTERS = (
    (re.compile(r"what(?:['’]s| is) your (?:full |first )?name", re.IGNORECASE), "name"),
    (re.compile(r"where do you (?:currently )?live", re.IGNORECASE), "home"),
    (re.compile(r"where are you (?:originally )?from", re.IGNORECASE), "origin"),
    (re.compile(r"how old are you", re.IGNORECASE), "age"),
    (re.compile(r"(?:where do you work|who do you work for|which company do you work)", re.IGNORECASE), "employer"),
    (re.compile(r"what do you do for (?:a living|work)", re.IGNORECASE), "job"),
    (re.compile(r"what(?:['’]s| is) your (?:job|profession|occupation)", re.IGNORECASE), "job"),
    (re.compile(r"when(?:['’]s| is) your birthday", re.IGNORECASE), "birthday"),
    (re.compile(r"what are you (?:studying|majoring in)|what(?:['’]s| is) your major", re.IGNORECASE), "studies"),
    (re.compile(r"what are you allergic to", re.IGNORECASE), "allergy"),
)  # fmt: skip
_FAVORITE = re.compile(r"(?:what|who|which)(?:['’]s| is) your (?:all-time )?favou?rite ([\w -]+)", re.IGNORECASE)


def answer(said: Said, before: Sequence[Said], cast: Cast) -> list[Fact]:
    """The fact of a first sentence that only answers the question before it, quoted with its question; else none."""
    if not before or not cast.speaker or said.role == "assistant":
        return []
    asked = before[-1]
    if (asked.speaker, asked.role) == (said.speaker, said.role):
        return []
    questions, replies = sentences(asked.content[-1_000:]), sentences(said.content[:400])
    if not questions or not replies:
        return []
    question = asked.content[-1_000:][questions[-1][0] : questions[-1][1]]
    start, end = replies[0]
    reply = without_emoji(said.content[start:end]).strip(" .!,")
    match = _WH.search(question)
    if match is None or not _is_fragment(reply):
        return []
    matter = match[1].strip()
    attribute, known = _matter(matter)
    speaker = cast.speaker[0].upper() + cast.speaker[1:]
    return [
        Fact(
            kind="preference" if attribute.startswith("favorite ") else "fact",
            text=f'Asked "{matter[0].upper()}{matter[1:]}?", {speaker} said: {reply}' if speaker else reply,
            start=start,
            end=end,
            subject=fold(cast.speaker),
            attribute=attribute,
            value=fold(reply),
            entities=find_entities(reply),
            confidence=0.8 if known else 0.4,
        )
    ]


def _is_fragment(reply: str) -> bool:
    said = reply.split()
    if not 1 <= len(said) <= 8 or _REACTION.search(reply) or _VERBS.search(reply):
        return False
    return any(word.strip(",.").lower() not in STOP_WORDS and len(word) > 1 for word in said)


def _matter(question: str) -> tuple[str, bool]:
    """The attribute a question asks for, and whether a rule told it."""
    if favorite := _FAVORITE.match(question):
        return f"favorite {fold(favorite[1]).strip()}", True
    for pattern, attribute in _MATTERS:
        if pattern.match(question):
            return attribute, True
    return fold(re.sub(r"\s+", " ", question)), False
