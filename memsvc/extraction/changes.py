"""Words that tell of change: that something is new, and what it is no more.

"My dentist is Dr Roth now", "we left Basel", "the blue line instead of the red one", "42 is void": a statement with
such words speaks of what is known already, and what it names as over ends, whatever else it tells.
"""

import re
from collections.abc import Iterator

from memsvc.extraction.matters import Matter, matter_of
from memsvc.extraction.typed import TYPES

_MARKED = re.compile(
    r"""\b(?:now|nowadays|these\s+days|any\s?more|any\s+longer|no\s+longer|instead|from\s+now\s+on|as\s+of|since|new|newly
    |chang(?:e|ed|es|ing)|switch(?:ed|es)?|mov(?:ed|es|ing)|updat(?:e|ed|es)|replac(?:e|ed|es|ing|ement)|correction|actually
    |bec(?:a|o)me[sn]?|upgrad(?:e|ed|es)|downgrad(?:e|ed)|rais(?:e|ed)|lower(?:ed)?|increas(?:e|ed)|decreas(?:e|ed)
    |reduc(?:e|ed)|reschedul(?:e|ed)|postpon(?:e|ed)|push(?:ed)?|slipp?(?:ed|s)|shift(?:ed)?|went|gone|took\s+over|takes\s+over
    |settled|relocat(?:e|ed)|migrat(?:e|ed)|rebooked|renam(?:e|ed)|quit|left|sold|dropp?(?:ed|s)|cancell?(?:ed|s)|got|gave|given
    |started|joined|finished|goodbye|farewell|back\s+to|retired|finally|swapped|traded|turned|set|not|over|reorg|so)\b
    |n['’]t\b""",
    re.VERBOSE | re.IGNORECASE,
)
_STRONG = re.compile(
    r"""\b(?:now|nowadays|these\s+days|any\s?more|any\s+longer|no\s+longer|instead|from\s+now\s+on|as\s+of|from\s+next
    |changed|switched|moved|replace[sd]?|replacement|became|upgraded|downgraded|raised|lowered|increased|decreased|reduced
    |rescheduled|postponed|slipped|took\s+over|takes\s+over|settled|relocated|migrated|rebooked|renamed|traded|swapped
    |back\s+to|down\s+to|up\s+to|update|new)\b""",
    re.VERBOSE | re.IGNORECASE,
)

_NOW = re.compile(
    r"\b(?:now|nowadays|these\s+days|instead|from\s+now\s+on|as\s+of|from\s+next\s+\w+\s+on|no\s+longer|any\s?more)\b",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"(?<!since )(?<!of )\b(?:today|tonight|tomorrow|this\s+(?:week|time|once|morning|evening|weekend)|just\s+once|for\s+once|exceptionally)\b",
    re.IGNORECASE,
)

# --- What is over -----------------------------------------------------------------------------------------------------

_PREPOSITION = r"(?:(?:in|on|at|with|by|for|from|to|as|of|using|under)\s+)?"
_NO = r"(?:n['’]t|\bnot|\bno\s+longer|\bnever)"
_LEAVE = (
    r"left|leaves?|leaving|quit|quitting|dropp?(?:ed|ing)|ditch(?:ed|ing)|cancell?(?:ed|ing)|sold|selling|abandon(?:ed|ing)"
    r"|uninstall(?:ed|ing)|retir(?:ed|ing)|replac(?:es|ed|ing)|swapp(?:ed|ing)|trad(?:ed|ing)|finish(?:ed|ing)|unsubscribed\s+from"
    r"|(?:c[oa]me|coming)\s+off|(?:g[ai]ve|given|giving)\s+up(?:\s+(?:on|being))?|stopp(?:ed|ing)(?:\s+(?:[a-z]+ing|at|with))?"
    r"|g[eo]t(?:ting)?\s+rid\s+of|done\s+with|through\s+with|finished\s+with|call(?:ed|ing)\s+off|said\s+goodbye\s+to"
    r"|goodbye|good-bye|farewell|bye\s+bye|br(?:oke|eaking)\s+up\s+with|split\s+(?:up\s+)?(?:with|from)|parted\s+(?:ways\s+)?with"
    r"|mov(?:ed|ing)\s+(?:on|away|out)\s+(?:from|of)|switch(?:ed|ing)\s+away\s+from|took\s+over\s+from|takes\s+over\s+from"
    r"|tak(?:ing|en)\s+over\s+from|succeed(?:s|ed)|outgr[eo]w|phas(?:ed|ing)\s+out|shut\s+down|resign(?:ed|ing)\s+from"
    r"|different\s+from|wean(?:ed|ing)\s+off|mov(?:ed|ing)\s+off|got\s+off|deprecat(?:ed|ing)|scrapp?(?:ed|ing)"
)
_CHANGE = (
    r"mov|switch|chang|went|go|upgrad|downgrad|migrat|transferr?|rais|lower|cut|drop|rose|rise|fell|fall|increas|decreas|reduc"
    r"|shift|reschedul|postpon|push|convert|rebook|relocat|renam|bump|jump|grew|grow|swap|turn|brought|slipp|slid|extend|shorten"
)
_AFTER = re.compile(
    rf"""(?:
      \binstead\s+of\s+{_PREPOSITION} | \brather\s+than\s+{_PREPOSITION} | \bno\s+longer\s+(?:a\s+|an\s+|the\s+)?{_PREPOSITION}
    | \bno\s+more\s+ | (?:,|\bnow|\bdays)\s+(?:and\s+)?not\s+{_PREPOSITION} | \b(?:up|down)\s+from\s+
    | \b(?:{_CHANGE})\w*\s(?:[^,;.]{{0,50}}\s)?from\s+(?=[^,;]{{1,60}}\s(?:to|into|over|as)\s)
    | \b(?:{_LEAVE})\s+(?:(?:my|our|the)\s+)?(?:(?:job|account|subscription|contract|membership)\s+(?:at|with|from|for)\s+)?{_PREPOSITION}
    | ^(?:please\s+|kindly\s+)?(?:forget|ignore|disregard|scratch|drop)\s+(?:about\s+)?
    | \b(?:it|that)(?:['’]s|\s+is|\s+was)(?:n['’]t|\s+not|\s+no\s+longer)\s+{_PREPOSITION}
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_NO_MORE = re.compile(
    rf"""(?:{_NO}\s+(?:[a-z]+\s+){{0,3}}?{_PREPOSITION}|\bno\s+)(?P<o>[^,;:!?]{{1,60}}?)\s+(?:any\s?more|any\s+longer)\b""",
    re.VERBOSE | re.IGNORECASE,
)
_OVER = re.compile(
    r"""\s+(?:
      (?:got|gets)\s+(?:cancell?ed|closed|sold|replaced|stolen|dropped|scrapped|cut\s+off|shut\s+down|discontinued)\b
    | (?:is|are|was|were|has\s+been|have\s+been|['’]s)\s+(?:now\s+|also\s+|finally\s+|officially\s+|already\s+|being\s+)?
      (?:void|dead|history|gone|cut\s+off|cancell?ed|closed|off|over|out|invalid|obsolete|outdated|discontinued|retired|deprecated
        |overbooked|broken|sold|no\s+more|a\s+thing\s+of\s+the\s+past|off\s+the\s+table|expired|disconnected|deactivated|replaced|old\s+news
        |out\s+of\s+date|wrong|stolen|lost|no\s+longer\s+\w+|shut\s+down|revoked|terminated|scrapped|dropped|disabled|fully\s+booked|taken)\b
    | (?:has\s+|have\s+|just\s+|finally\s+)*(?:retired|left|quit|moved\s+(?:on|away|out)|closed|expired|died|broke|shut\s+down|fell\s+through
        |resigned|stepped\s+down|went\s+(?:bankrupt|bust|under)|wasn['’]t\s+for\s+me|weren['’]t\s+for\s+me|didn['’]t\s+work\s+out|let\s+me\s+go
        |got\s+cancell?ed|got\s+too\s+expensive)\b
    | belongs?\s+to\b | (?:and\s+I|and\s+me)\s+(?:have\s+|just\s+)?(?:fell|fallen|broke|broken|split|parted|grew|stopped|are\s+no)\b
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_CLOSED = (
    r"cancell?ed|sold|quit|lost|closed|terminated|gave\s+up|given\s+up|got\s+rid\s+of|called\s+off|dropped|ditched|resigned\s+from|gave\s+away"
    r"|deleted|scrapped|ended|returned|paid\s+off|sold\s+off"
)
_NOUN_END = r"(?=\s*(?:$|[,;.!?]|\s(?:on|at|in|for\s+good|yesterday|today|last|this|and|so|because|after|since|to|with|now|entirely|altogether)\b))"
_CLOSES = re.compile(
    rf"\b(?:{_CLOSED})\s+(?P<o>my|our|the)\s+(?P<n>[\w'’-]+(?:\s[\w'’-]+){{0,3}}?){_NOUN_END}", re.IGNORECASE
)
_IS_CLOSED = re.compile(
    r"\b(?P<o>my|our|the)\s+(?P<n>[\w'’-]+(?:\s[\w'’-]+){0,3}?)\s+(?:is|was|has\s+been|got|were|are)\s+(?:now\s+|finally\s+)?"
    r"(?:cancell?ed|called\s+off|no\s+more|history|gone|scrapped|terminated|abolished|sold|over)\b",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"\b(?:any\s?more|any\s+longer|no\s+longer|no\s+more|called\s+off|cancell?ed|g[ai]ven?\s+up|c[oa]me\s+off|history|void|dead|gone|cut\s+off"
    r"|stopped|quit|sold|retired|discontinued|got\s+rid\s+of|belongs?\s+to|done\s+with|through\s+with)\b",
    re.IGNORECASE,
)
_TYPED = re.compile("|".join(f"(?:{TYPES[kind]})" for kind in ("email", "when", "date", "flight", "measure", "money")))
_TIMED = re.compile(rf"(?:{TYPES['flight']}|{TYPES['name']})\s+at\s+{TYPES['clock']}")
_NAMED = re.compile(rf"(?:{TYPES['named']}|(?:(?:an?|the)\s)?(?:[a-z-]+\s){{0,3}}?{TYPES['name']})")
_PHRASE = re.compile(
    r"""(?:an?\s|the\s|my\s|our\s|that\s)?(?:[^\s,;:!?.]|[.,:](?=\w))+(?:\s(?!(?:and|but|so|as|now|for|in|at|to|with|because|since|any|is|are|was
    |were|who|which|that|when|after|instead|anymore|on|by|from|or|if|while|has|have|it|i|we|they|he|she|up|down|again)\b)
    (?:[^\s,;:!?.]|[.,:](?=\w))+){0,5}""",
    re.VERBOSE | re.IGNORECASE,
)
_LONGEST = 60
_PRONOUN = re.compile(r"(?:i|we|you|he|she|they|it|there)(?:['’]\w+)?(?:\s|$)", re.IGNORECASE)
_MAY_END = re.compile(
    r"""\b(?:instead|rather|longer|more|not|any\s?more|from|left|leav\w+|quit\w*|drop\w*|ditch\w*|cancel\w*|sold|selling|abandon\w*
    |uninstall\w*|retir\w+|replac\w+|swapp?\w*|trad(?:ed|ing)|finish\w*|unsubscribed|off|up|rid|done|through|goodbye|good-bye
    |farewell|bye|broke|split|parted|succeed\w*|outgr[eo]w|out|down|deprecated|scrap\w*|forget|ignore|disregard|scratch|stopp\w+
    |void|dead|history|gone|closed|over|invalid|obsolete|outdated|discontinued|overbooked|broken|past|expired|disconnected
    |deactivated|old|wrong|stolen|lost|revoked|terminated|disabled|booked|taken|moved|died|resigned|went|work|go|belongs?|fell|fallen
    |grew)\b|n['’]t\b""",
    re.VERBOSE | re.IGNORECASE,
)


_INTENDED = re.compile(
    r"""\b(?:try(?:ing|ied)?|tried|want(?:s|ed|ing)?|plan(?:s|ning|ned)?|hop(?:e|es|ing)|need(?:s|ed)?|going|gonna|like|love|decid(?:e|ing)|how|whether
      |ready|able|aim(?:s|ing)?|intend(?:s|ing)?|prefer|wish|ways?|time|agreed|considered|about|used|advised|told\s+\w+|help(?:s|ed)?(?:\s+me)?)\s+to\s+(?!the\b|an?\b|my\b)
    |\b(?:consider(?:s|ing)?|thinking|wonder(?:ing)?|should|might|may|could|would|will|recommend\w*|suggest\w*|if|unless|how\s+about|in\s+case|avoid)\b
    |['’](?:ll|d)\b|\?|^(?:don['’]t|do\s+not|let['’]?s|never|always)\b""",
    re.VERBOSE | re.IGNORECASE,
)


def is_intended(text: str) -> bool:
    """Whether what the words say is only meant, wished, asked or advised, so that nothing has ended yet."""
    return _INTENDED.search(text) is not None


def is_marked(text: str) -> bool:
    """Whether the words may tell of a change: enough, where the statement names what was so before."""
    return _MARKED.search(text) is not None


def tells_change(text: str) -> bool:
    """Whether the words do tell of a change: what is stated is so now, and was not before."""
    return _STRONG.search(text) is not None


def tells_now(text: str) -> bool:
    """Whether the words say that it is so by now, of what goes on and not of what was done."""
    return _NOW.search(text) is not None


def is_passing(text: str) -> bool:
    """Whether the words tell of one occasion: "today the call is at 11"."""
    return _PASSING.search(text) is not None


def is_final(text: str) -> bool:
    """Whether a statement does little else than say that something is over."""
    return _FINAL.search(text) is not None or _OVER.search(text) is not None


def closed(text: str, speaker: str) -> tuple[Matter, ...]:
    """The matters that a statement closes, whatever their value was: "I sold my car", "our Friday call was cancelled"."""
    if not _MAY_END.search(text):
        return ()
    found: dict[Matter, None] = {}
    for pattern in (_CLOSES, _IS_CLOSED):
        for match in pattern.finditer(text):
            for owner in {match["o"].lower(), "my"}:
                matter = matter_of(match["n"], owner=owner, speaker=speaker, starts=False)
                if matter is not None:
                    found[matter] = None
    return tuple(found)


def former(text: str) -> tuple[str, ...]:
    """What a statement says is over, in its own words and in its order; values alone, not of what.

    "I moved from Basel to Bern" gives "Basel", "Flight LX 14 was cancelled" gives "Flight LX 14". Each is only a word or
    two that a known value may consist of: whether there is such a value decides what ends.
    """
    if not _MAY_END.search(text):
        return ()
    found: dict[str, None] = {}
    for value in _found(text):
        value = value.strip(' .,!?"“”')
        if value and len(value) <= _LONGEST and value.lower() not in _EMPTY and not _PRONOUN.match(value):
            found[value] = None
    return tuple(found)


_EMPTY = frozenset(
    {"it", "that", "this", "them", "me", "you", "the old one", "the old", "one", "everything", "all", "only", "just", "yet",
     "sure", "too", "so", "much", "a lot", "home", "work", "i", "we", "he", "she", "they", "who", "early", "late", "time", "school", "there", "here", "things", "what"}
)  # fmt: skip


def _found(text: str) -> Iterator[str]:
    for match in _AFTER.finditer(text):
        yield from _at(text, match.end())
    for match in _NO_MORE.finditer(text):
        yield match["o"]
        if len(words := match["o"].split()) > 1:
            yield " ".join(words[1:])
    for match in _OVER.finditer(text):
        yield _before(text, match.start())


def _at(text: str, place: int) -> Iterator[str]:
    """The value that begins there."""
    if match := _TIMED.match(text, place) or _TYPED.match(text, place):
        yield match.group()
        return
    phrase = _PHRASE.match(text, place)
    named = _NAMED.match(text, place)
    if named is not None and (
        phrase is None or named.end() >= phrase.end() or text[named.end() : named.end() + 1] in ",;"
    ):
        yield named.group()
        return
    if phrase is not None:
        yield phrase.group()
        if named is not None:
            yield named.group()


_CUT = re.compile(r"[,;:!?—–]\s+|\.\s+|\s(?:and|but|so|because|since|that|as)\s(?!i\b)", re.IGNORECASE)


def _before(text: str, place: int) -> str:
    """The subject of the clause whose verb begins there."""
    start = 0
    for cut in _CUT.finditer(text, 0, place):
        start = cut.end()
    return re.sub(r"^(?:the|my|our|those|these|that|this)\s+", "", text[start:place], flags=re.IGNORECASE)
