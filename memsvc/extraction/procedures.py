"""How something is to be done: standing instructions, and steps for a purpose."""

import re

from memsvc.extraction.entities import find_entities
from memsvc.extraction.model import Fact, Said
from memsvc.extraction.people import Cast, rewrite
from memsvc.extraction.sentences import quoted, sentences
from memsvc.extraction.tokens import tokenize
from memsvc.extraction.words import BASES, word_set
from memsvc.text.analysis import fold

_WHEN = re.compile(
    r"^(?:please,?\s+)?(?:when(?:ever)?|if|each\s+time|every\s+time|any\s*time)\s+(?P<x>(?:i|we|someone|a\s+user)\s+(?:ask|say|mention|write|send|tell|"
    r"request|need|want|type|give|see|get|start|review|generate|deploy|summarize)\w*\b[^,]{0,120}),\s*"
    r"(?:then\s+)?(?:please\s+)?(?P<how>always\s+|never\s+|only\s+|first\s+|don['’]t\s+|do\s+not\s+)?(?P<v>[a-z]+)\b(?P<rest>.{3,300})$",
    re.IGNORECASE,
)
_WHEN_AFTER = re.compile(
    r"^(?:please\s+)?(?P<how>always|never)\s+(?P<v>[a-z]+)\b(?P<rest>.{3,200}?)\s+(?:when(?:ever)?|if)\s+(?P<x>(?:i|we)\s+(?:ask|say|mention|request|tell|send|want)\w*\b.{0,120})$",
    re.IGNORECASE,
)
_ALWAYS = re.compile(
    r"^(?:please,?\s+|and\s+|so\s+)?(?P<how>(?:from\s+now\s+on|in\s+(?:the\s+)?future|going\s+forward),?\s+(?:please\s+)?(?:always\s+|never\s+|only\s+)?"
    r"|always\s+|never\s+|make\s+sure\s+(?:to|you)\s+always\s+|don['’]t\s+ever\s+|do\s+not\s+ever\s+)(?:please\s+)?(?P<v>[a-z]+)\b(?P<rest>.{3,300})$",
    re.IGNORECASE,
)
_STEPS = re.compile(
    r"^(?:in\s+order\s+)?to\s+(?P<x>[a-z]+\b[^,:]{0,80})[,:]\s*(?:first,?\s+|just\s+|you\s+(?:have\s+to|need\s+to|must|should)\s+|we\s+|i\s+|always\s+)?"
    r"(?P<v>[a-z]+)\b(?P<rest>.{3,400})$",
    re.IGNORECASE,
)
# Encouragement has the form of an instruction.
_CHEERS = word_set(
    """
    give stop lose forget underestimate let doubt believe remember be trust feel stay look think know love
    hesitate worry dream mind quit settle have get say tell regret compare
    """
)


def procedures(said: Said, cast: Cast) -> list[Fact]:
    """Standing instructions ("always ...", "when I ask ..., do ...") and steps ("to deploy, run X, then Y") of a turn.

    None of an assistant's: its steps are advice.
    """
    if said.role == "assistant" or not _HINT.search(said.content[:8_000]):
        return []
    found: list[Fact] = []
    for start, end in sentences(said.content):
        text = said.content[start:end].rstrip(" .!")
        if text.endswith("?") or not text:
            continue
        for pattern in (_WHEN, _WHEN_AFTER, _ALWAYS, _STEPS):
            match = pattern.match(text)
            if match is None or not _is_command(match["v"].lower(), pattern):
                continue
            found.append(_procedure(cast, (start, start + len(text)), match))
            break
    return found[:3]


_HINT = re.compile(
    r"\b(?:when|whenever|always|never|if|to|from\s+now\s+on|going\s+forward|time|future|ever)\b", re.IGNORECASE
)


def _is_command(verb: str, pattern: re.Pattern[str]) -> bool:
    if verb not in BASES:
        return False
    return verb not in _CHEERS or (pattern in (_WHEN, _WHEN_AFTER) and verb in ("give", "tell", "say", "get", "look"))


def _attribute(groups: dict[str, str | None], *, is_steps: bool) -> str:
    """Another instruction on the same matter has the same: when the same is asked, or with the same verb."""
    if is_steps:
        return "procedure"
    if occasion := groups.get("x"):
        return f"instruction when {fold(occasion).strip()}"
    return f"instruction to {fold(groups['v'] or '')}"


def _procedure(cast: Cast, span: tuple[int, int], match: re.Match[str]) -> Fact:
    text = match.string
    tokens = tokenize(text, quoted(text))
    out, _ = rewrite(tokens, cast)
    written: list[str] = []
    cursor = 0
    for token, word in zip(tokens, out, strict=True):
        written.append(text[cursor : token.start] + word)
        cursor = token.end
    resolved = re.sub(r"\s+", " ", "".join(written) + text[cursor:]).strip()
    groups = match.groupdict()
    how = (groups.get("how") or "").lower()
    value = f"{match['v']}{match['rest']}"
    is_steps = match.re is _STEPS
    named = (cast.speaker[0].upper() + cast.speaker[1:]) if cast.speaker else "The speaker"
    return Fact(
        kind="procedure",
        text=resolved[0].upper() + resolved[1:] if is_steps else f"{named} asks: {resolved[0].lower()}{resolved[1:]}",
        start=span[0],
        end=span[1],
        subject=fold(groups["x"] if is_steps else cast.speaker).strip(),
        attribute=_attribute(groups, is_steps=is_steps),
        value=fold(value if is_steps or groups.get("x") else match["rest"]).strip(" .!,"),
        negated="never" in how or "not" in how or "n't" in how,
        entities=find_entities(value),
        confidence=0.8,
    )
