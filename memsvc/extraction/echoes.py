"""What one only says back: "so you live in Rome, nice", "noted: the launch is in May". It is no news of anything."""

import re

from memsvc.extraction.sentences import sentences

_OPENS = re.compile(
    r"""\s*(?:
      (?:oh|ah|aha|oh\s+wow|wow|wait|right|okay|ok|yes|yeah|hm+|huh|i\s+see|really|cool|nice|great|understood|gotcha|good\s+to\s+know)[,!.…:\s]+
        (?:so|right|wait|ok|okay|and)?[,\s]*
    | so[,\s]+
    | (?:got\s+it|noted|understood|duly\s+noted|gotcha|okay|ok)\s*[:,!.–—-]+\s*(?:so\s+)?
    | (?:thanks|thank\s+you|cheers)\s+for\s+(?:telling|letting|sharing|reminding)(?:\s+(?:me|us))?\b
    | (?:as|like)\s+you\s+(?:told|said|mentioned|wrote|explained)\b | you\s+(?:said|told\s+me|mentioned|wrote)\b
    | (?:i|we)\s+(?:remember|recall|keep\s+forgetting|forgot|always\s+forget|know|noted|see|understand|heard)\s+
      (?:that\s+)?
    | (?:from|according\s+to|per|going\s+by|checking)\s+(?:my|the|our)\s+(?:notes|records|memory)\b
    | (?:just\s+)?to\s+(?:recap|summari[sz]e|confirm|repeat|be\s+clear|double-check)\b | (?:quick\s+)?recap\b
    | if\s+i\s+(?:remember|recall|understand)\b | in\s+other\s+words\b
    | (?:since|given\s+that|knowing\s+that|because)\s+you\b
    )""",
    re.VERBOSE | re.IGNORECASE,
)
# "So X, cool" comments on what was heard; "so we moved to X" tells something.
_CLOSES = re.compile(
    r"[,.!]\s*(?:cool|nice|great|right|huh|wow|ok|okay|got\s+it|interesting|noted|then|good\s+to\s+know|awesome|lovely|neat|sweet|i\s+see"
    r"|makes\s+sense|correct)\s*[.!?]*\s*$",
    re.IGNORECASE,
)
_SO = re.compile(r"\s*so\b", re.IGNORECASE)
_ACKNOWLEDGED = re.compile(
    r"\s*(?:ok|okay|oh|ah|aha|right|got\s+it|noted|i\s+see|wow|cool|nice|great|gotcha|understood|thanks|perfect)[\s.!,]*$",
    re.IGNORECASE,
)
_OWN = re.compile(r"\b(?:i|i['’]\w+|we|we['’]\w+|my|our|mine|ours|me|us)\b", re.IGNORECASE)
_OF_MEMORY = re.compile(
    r"\s*(?:(?:i|we)\s+(?:remember|recall|keep|forgot|always\s+forget)|from\s+my\s+notes|you\s+(?:said|told)|(?:as|like)\s+you|(?:just\s+)?to\s+recap)",
    re.IGNORECASE,
)


def restated(content: str) -> list[tuple[int, int]]:
    """Spans of the sentences that only repeat what their speaker was told.

    A sentence that speaks of "I" or "my" tells something of its own, unless it says itself that it is from memory.
    """
    found: list[tuple[int, int]] = []
    acknowledged = False
    for start, end in sentences(content):
        sentence = content[start:end]
        if _is_restated(sentence, acknowledged=acknowledged):
            found.append((start, end))
        acknowledged = _ACKNOWLEDGED.match(sentence) is not None
    return found


def only_restates(content: str) -> bool:
    """Whether all that is said only repeats what was told."""
    found = restated(content)
    rest = [content[start:end] for start, end in sentences(content) if (start, end) not in found]
    return bool(found) and all(_ACKNOWLEDGED.match(sentence) or len(sentence) < 12 for sentence in rest)


def _is_restated(sentence: str, *, acknowledged: bool) -> bool:
    opens = _OPENS.match(sentence)
    if opens is None:
        return False
    if _OF_MEMORY.match(sentence):
        return True
    if _OWN.search(sentence, opens.end()):
        return False
    return not _SO.match(sentence) or acknowledged or _CLOSES.search(sentence) is not None
