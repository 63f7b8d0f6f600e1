"""The statement within a clause: without greetings, address and frames, and with the subject that chat leaves out."""

import re
from collections.abc import Sequence

from memsvc.extraction import words

_GREETED = r"(?:\s+[A-Z][\w’'-]*(?=\s*[,!.…-]))?"
_LEAD = re.compile(
    rf"""^(?:[\s,.!…;:–—-]+
    |(?:hey|hi|hello|thanks|thank\s+you|congrats|congratulations|good\s+morning|wow|cool|great|awesome|nice|sure|yes|yeah
      |yep|yup|no|nope|ok|okay|absolutely|definitely|totally|exactly|sorry|hmm+|aww*|ah+|oh+|ooh|haha\w*|lol|omg|right
      |welcome|indeed|certainly|of\s+course|true|agreed|no\s+worries|no\s+problem|sounds\s+good|got\s+it|perfect)\b
      (?:\s+(?:so\s+much|a\s+lot|again|there|everyone|guys|man|dude|buddy|wow|yeah|thanks|yes))*{_GREETED}(?=\s*[,!.…;:–—-])
    |(?:well|so|also|and|but|plus|then|anyway|anyways|actually|honestly|btw|by\s+the\s+way|speaking\s+of\s+which|oh|wow
      |in\s+fact|besides|fyi|yeah|yes|no|first\s+of\s+all|as\s+you\s+know|you\s+know(?:\s+what)?|guess\s+what|to\s+be\s+honest
      |for\s+context|for\s+reference|fun\s+fact|good\s+news|update|note|ps|on\s+(?:another|an?\s+(?:different|side|other))\s+note|luckily|thankfully
      |unfortunately|sadly|fortunately|right\s+now|hey|just\s+so\s+you\s+know|basically|overall|turns\s+out|it\s+turns\s+out(?:\s+that)?
      |i\s+mean|like|let\s+me\s+tell\s+you|believe\s+it\s+or\s+not|for\s+your\s+information|speaking\s+of\s+\w+)\s*[,:!–—-]+
    |(?:so|and|but|also|plus|then|because|though|although|or|yet|oh|hey|well|anyway)\s+(?=(?:i|we|my|our|he|she|it|they|the)\b)
    |(?:yes|yeah|no|sure|ok|okay|well|wow|oh|yep)\s+(?=(?:i|we|my|our)\b)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_FRAME = re.compile(
    r"""^(?:
      (?:i['’]?m|i\s+am)\s+(?:so\s+|very\s+|really\s+|super\s+)?(?:happy|excited|pleased|glad|thrilled|proud|delighted|sorry|sad)
        \s+to\s+(?:say|share|announce|report|tell\s+you|let\s+you\s+know)(?:\s+you)?\s+(?:that\s+)?
    | i\s+(?:just\s+)?(?:wanted|want|need|have|had|gotta|got|would\s+like)\s+to\s+
      (?:tell\s+(?:you|ya)|let\s+(?:you|ya)\s+know|share|say|mention|admit)
      (?:(?:,|\s+that)\s*|\s+(?=(?:i|we|my)\b))
    | (?:please\s+)?(?:remember|note|keep\s+in\s+mind|be\s+aware)\s+that\s+
    | (?:just\s+)?(?:for\s+the\s+record|so\s+you\s+know|a\s+heads[\s-]up|a\s+reminder)[,:]?\s+(?:that\s+)?
    | (?:did\s+i\s+(?:mention|tell\s+you)|have\s+i\s+told\s+you)\s+(?:that\s+)?
    | it\s+turns\s+out\s+(?:that\s+)?
    )(?=(?:i|we|my|our|he|she|it|they|the|[A-Z])\b)""",
    re.VERBOSE | re.IGNORECASE,
)
_TAIL = re.compile(
    r"""(?:[\s,.!?…;:)(–—-]+|[,\s]+(?:haha\w*|lol|right|you\s+know|though|btw|by\s+the\s+way|anyways?|actually|for\s+sure
    |to\s+be\s+honest|tbh|so\s+far|hehe|xd|if\s+that\s+makes\s+sense|and|but|so|or|too|as\s+well|as\s+you\s+know|of\s+course))$""",
    re.VERBOSE | re.IGNORECASE,
)


def trim(text: str, names: Sequence[str]) -> tuple[int, int]:
    """What of a clause is its statement: without interjections, address and frames ("I wanted to tell you that")."""
    start, end = 0, len(text)
    vocatives = [re.escape(name) for name in names if name]
    address = re.compile(rf"^(?:{'|'.join(vocatives)})\s*[,!–—-]+\s*", re.IGNORECASE) if vocatives else None
    for _ in range(8):
        match = _LEAD.match(text[start:]) or _FRAME.match(text[start:]) or (address and address.match(text[start:]))
        if not match or not match.end():
            break
        start += match.end()
    called = re.compile(rf"[,\s]+(?:{'|'.join(vocatives)})$", re.IGNORECASE) if vocatives else None
    for _ in range(6):
        tail = _TAIL.search(text, max(start, end - 30), end) or (
            called and called.search(text, max(start, end - 40), end)
        )
        if not tail or tail.start() <= start:
            break
        end = tail.start()
    start += len(text[start:end]) - len(text[start:end].lstrip())
    return start, end


_SUBJECTLESS = re.compile(
    r"^(?:(?P<past>(?:just|finally|recently|also|actually|even)\s+(?:got|went|came|started|finished|bought|moved|had|took|made|saw|met|joined|found"
    r"|signed|won|watched|read|adopted|completed|launched|booked|visited|tried|heard|spent|learned|wrapped)|went|got|started"
    r"|bought|finished|signed\s+up|visited|attended|adopted|joined|moved|met|took)|(?P<been>(?:just\s+|also\s+)?been\s+\w+ing"
    r"|had\s+to\s+\w+)|(?P<ing>(?:just\s+|still\s+|currently\s+|also\s+)?(?:planning|working|learning|studying|gonna|going\s+to|reading"
    r"|watching|training|hoping|looking\s+into|taking|trying)))\s+(?!for\s+(?:granted|sure)|care\b|it\b|that\b|this\b|you\b|your\b|to\s+know|me\b|on\s+an?\b)",
    re.IGNORECASE,
)


_FINITE = re.compile(
    r"\b(?:is|are|was|were|can|could|helps?|makes?|has|have|will|would|really|always|gives?|means?)\b", re.IGNORECASE
)


def _is_told_of(rest: str) -> bool:
    """Whether a verb follows, so that what stood before it was its subject: "Learning about cultures fascinates me"."""
    return _FINITE.search(rest) is not None or any(
        word in words.THIRDS and word not in words.NOUNISH for word in rest.lower().split()
    )


def with_subject(text: str) -> str:
    """The clause with the "I" that chat leaves out: "Just got back from Rome"."""
    match = _SUBJECTLESS.match(text)
    if match is None or (match["ing"] and _is_told_of(text[match.end() :])):
        return text
    subject = "I'm" if match["ing"] else "I've" if match["been"] and "been" in match["been"].lower() else "I"
    return f"{subject} {text[0].lower()}{text[1:]}"
