"""What a statement says is over: "we left Basel", "the blue line instead of the red one", "42 is void".

Such words speak of what is known already, and what they name ends, whatever else they tell.
"""

import re
from collections.abc import Iterator

from memsvc.extraction.matters import Matter, matter_of
from memsvc.extraction.patterns import one_of, words_of
from memsvc.extraction.typed import TYPES

_LONGEST = 60
_PREPOSITION = rf"(?:{one_of('in, on, at, with, by, for, from, to, as, of, using, under')}\s+)?"
# Verbs before what is over ...
_LEAVE = one_of(
    """
    left, leaves?, leaving, quit, quitting, dropp?(?:ed|ing), ditch(?:ed|ing), cancell?(?:ed|ing), sold,
    selling, abandon(?:ed|ing), uninstall(?:ed|ing), retir(?:ed|ing), replac(?:es|ed|ing), swapp(?:ed|ing),
    trad(?:ed|ing), finish(?:ed|ing), unsubscribed from, (?:c[oa]me|coming) off,
    (?:g[ai]ve|given|giving) up(?: on| being)?, stopp(?:ed|ing)(?: [a-z]+ing| at| with)?,
    g[eo]t(?:ting)? rid of, done with, through with, finished with, call(?:ed|ing) off, said goodbye to,
    goodbye, good-bye, farewell, bye bye, br(?:oke|eaking) up with, split (?:up )?(?:with|from),
    parted (?:ways )?with, mov(?:ed|ing) (?:on|away|out) (?:from|of), switch(?:ed|ing) away from,
    took over from, takes over from, tak(?:ing|en) over from, succeed(?:s|ed), outgr[eo]w, phas(?:ed|ing) out,
    shut down, resign(?:ed|ing) from, different from, wean(?:ed|ing) off, mov(?:ed|ing) off, got off,
    deprecat(?:ed|ing), scrapp?(?:ed|ing), clos(?:ed|ing), terminat(?:ed|ing)
    """
)
# ... and verbs that may have "from" what was "to" what is.
_CHANGE = one_of(
    """
    mov, switch, chang, went, go, upgrad, downgrad, migrat, transferr?, rais, lower, cut, drop, rose, rise,
    fell, fall, increas, decreas, reduc, shift, reschedul, postpon, push, convert, rebook, relocat, renam,
    bump, jump, grew, grow, swap, turn, brought, slipp, slid, extend, shorten
    """
)
_FROM = rf"\b{_CHANGE}\w*\s(?:[^,;.]{{0,50}}\s)?from\s+"
_NOT_AFTER = r"(?:,|\bnow|\bdays)\s+(?:and\s+)?not\s+"
_AFTER = re.compile(
    rf"\b{one_of('instead of, rather than')}\s+{_PREPOSITION}"
    rf"|\bno\s+longer\s+(?:a\s+|an\s+|the\s+)?{_PREPOSITION}|\bno\s+more\s+|{_NOT_AFTER}{_PREPOSITION}"
    rf"|\b(?:up|down)\s+from\s+|{_FROM}(?=[^,;]{{1,60}}\s(?:to|into|over|as)\s)"
    rf"|\b{_LEAVE}\s+(?:(?:my|our|the)\s+)?"
    rf"(?:(?:job|account|subscription|contract|membership)\s+(?:at|with|from|for)\s+)?{_PREPOSITION}"
    r"|^(?:please\s+|kindly\s+)?(?:forget|ignore|disregard|scratch|drop)\s+(?:about\s+)?"
    rf"|\b(?:it|that)(?:['’]s|\s+is|\s+was)(?:n['’]t|\s+not|\s+no\s+longer)\s+{_PREPOSITION}",
    re.IGNORECASE,
)
_NO_MORE = re.compile(
    rf"(?:(?:n['’]t|\bnot|\bno\s+longer|\bnever)\s+(?:[a-z]+\s+){{0,3}}?{_PREPOSITION}|\bno\s+)"
    r"(?P<o>[^,;:!?]{1,60}?)\s+(?:any\s?more|any\s+longer)\b",
    re.IGNORECASE,
)
# Predicates of what is over.
_GOT = "cancell?ed, closed, sold, replaced, stolen, dropped, scrapped, cut off, shut down, discontinued"
_IS = """
    void, dead, history, gone, off, over, out, invalid, obsolete, outdated, retired, deprecated, overbooked,
    broken, no more, a thing of the past, off the table, expired, disconnected, deactivated, old news,
    out of date, wrong, lost, no longer \\w+, free again, available again, revoked, terminated, disabled,
    fully booked, taken
"""
_HAS = """
    retired, left, quit, moved (?:on|away|out), closed, expired, died, broke, shut down, fell through,
    resigned, stepped down, went (?:bankrupt|bust|under), wasn't for me, weren't for me, didn't work out,
    let me go, got too expensive
"""
_OVER = re.compile(
    rf"\s+(?:(?:got|gets)\s+{one_of(_GOT)}\b"
    r"|(?:is|are|was|were|has\s+been|have\s+been|['’]s)\s+(?:(?:now|also|finally|officially|already|being)\s+)?"
    rf"(?:{one_of(_IS)}|{one_of(_GOT)})\b"
    rf"|(?:(?:has|have|just|finally)\s+)*{one_of(_HAS)}\b|belongs?\s+to\b"
    rf"|and\s+(?:I|me)\s+(?:have\s+|just\s+)?{one_of('fell, fallen, broke, broken, split, parted, grew, stopped')}\b)",
    re.IGNORECASE,
)
# Said outright, and not only left or finished, as one leaves a town that one visited.
_OUTRIGHT = words_of(
    """
    instead of, rather than, no longer, no more, any ?more, any longer, (?:up|down) from, quit, dropp?ed,
    ditched, cancell?ed, g[ai]ven? up, stopped, got rid of, done with, called off, moved on, switched away,
    swapped, traded, void, discontinued, history, cut off, shut down, broke up, split up
    """,
    more=rf"{_NOT_AFTER}|{_FROM}[^,;]{{1,60}}\s(?:to|into|over)\s",
)
_FINAL = words_of(
    """
    any ?more, any longer, no longer, no more, called off, cancell?ed, g[ai]ven? up, c[oa]me off, history,
    void, dead, gone, cut off, stopped, quit, sold, retired, discontinued, got rid of, belongs? to, done with,
    through with
    """
)
# A quick look: without one of these nothing is over.
_MAY_END = words_of(
    """
    instead, rather, longer, more, not, any ?more, from, left, leav\\w+, quit\\w*, drop\\w*, ditch\\w*,
    cancel\\w*, sold, selling, abandon\\w*, uninstall\\w*, retir\\w+, replac\\w+, swapp?\\w*, trad(?:ed|ing),
    finish\\w*, unsubscribed, off, up, rid, done, through, goodbye, good-bye, farewell, bye, broke, split,
    parted, succeed\\w*, outgr[eo]w, out, down, deprecated, scrap\\w*,
    clos\\w+, terminat\\w+, again, forget, ignore, disregard, scratch,
    stopp\\w+, void, dead, history, gone, closed, over, invalid, obsolete, outdated, discontinued, overbooked,
    broken, past, expired, disconnected, deactivated, old, wrong, stolen, lost, revoked, terminated, disabled,
    booked, taken, moved, died, resigned, went, work, go, belongs?, fell, fallen, grew
    """,
    more=r"n['’]t\b",
)
_CLOSED = one_of(
    """
    cancell?ed, sold, quit, lost, closed, terminated, gave up, given up, got rid of, called off, dropped, ditched,
    resigned from, gave away, deleted, scrapped, ended, returned, paid off, sold off
    """
)
_ENDS = one_of("on, at, in, for good, yesterday, today, last, this, and, so, because, after, since, to, with, now")
_OWNED = r"(?P<o>my|our|the)\s+(?P<n>[\w'’-]+(?:\s[\w'’-]+){0,3}?)"
_CLOSES = re.compile(rf"\b{_CLOSED}\s+{_OWNED}(?=\s*(?:$|[,;.!?]|\s{_ENDS}\b))", re.IGNORECASE)
_IS_CLOSED = re.compile(
    rf"\b{_OWNED}\s+(?:is|was|has\s+been|got|were|are)\s+(?:now\s+|finally\s+)?"
    rf"{one_of('cancell?ed, called off, no more, history, gone, scrapped, terminated, abolished, sold, over')}\b",
    re.IGNORECASE,
)

# --- What stands there ------------------------------------------------------------------------------------------------

_TYPED = re.compile("|".join(f"(?:{TYPES[kind]})" for kind in ("email", "when", "date", "flight", "measure", "money")))
_TIMED = re.compile(rf"(?:{TYPES['flight']}|{TYPES['name']})\s+at\s+{TYPES['clock']}")
_NAMED = re.compile(rf"(?:{TYPES['named']}|(?:(?:an?|the)\s)?(?:[a-z-]+\s){{0,3}}?{TYPES['name']})")
_WORD = r"(?:[^\s,;:!?.]|[.,:](?=\w))+"
_NEXT = one_of(
    """
    and, but, so, as, now, for, in, at, to, with, because, since, any, is, are, was, were, who, which, that,
    when, after, instead, anymore, on, by, from, or, if, while, has, have, it, i, we, they, he, she, up, down,
    again
    """
)
_LED = re.compile(rf"^\w+\s+|\b{one_of('in, on, at, with, by, for, from, to, as, of, using, under')}\s+", re.IGNORECASE)
_PHRASE = re.compile(rf"(?:an?\s|the\s|my\s|our\s|that\s)?{_WORD}(?:\s(?!{_NEXT}\b){_WORD}){{0,5}}", re.IGNORECASE)
_PRONOUN = re.compile(r"(?:i|we|you|he|she|they|it|there)(?:['’]\w+)?(?:\s|$)", re.IGNORECASE)
_CUT = re.compile(r"[,;:!?—–]\s+|\.\s+|\s(?:and|but|so|because|since|that|as)\s(?!i\b)", re.IGNORECASE)
_EMPTY = re.compile(
    one_of(
        """
        it, that, this, them, me, you, the old one, the old, one, everything, all, only, just, yet, sure, too,
        so, much, a lot, home, work, i, we, he, she, they, who, early, late, time, school, there, here, things,
        what
        """
    ),
    re.IGNORECASE,
)


def is_final(text: str) -> bool:
    """Whether a statement does little else than say that something is over."""
    return _FINAL.search(text) is not None or _OVER.search(text) is not None


def is_outright(text: str) -> bool:
    """Whether it is said outright that one thing is no more, and not only that it was left or finished."""
    return _OUTRIGHT.search(text) is not None


def closed(text: str, speaker: str) -> tuple[Matter, ...]:
    """The matters that a statement closes, whatever their value was: "I sold my car", "our call is cancelled"."""
    if not _MAY_END.search(text):
        return ()
    found: dict[Matter, None] = {}
    for pattern in (_CLOSES, _IS_CLOSED):
        for match in pattern.finditer(text):
            for owner in dict.fromkeys((match["o"].lower(), "my")):
                matter = matter_of(match["n"], owner=owner, speaker=speaker, starts=False)
                if matter is not None:
                    found[matter] = None
    return tuple(found)


def former(text: str) -> tuple[str, ...]:
    """What a statement says is over, in its own words and in its order; values alone, not of what.

    "I moved from Basel to Bern" gives "Basel", "Flight LX 14 was cancelled" gives "Flight LX 14". Each is only a word
    or two that a known value may consist of: whether there is such a value decides what ends.
    """
    if not _MAY_END.search(text):
        return ()
    values = (value.strip(' .,!?"“”') for value in _found(text))
    return tuple(dict.fromkeys(value for value in values if _is_value(value)))


def _is_value(value: str) -> bool:
    return 0 < len(value) <= _LONGEST and not _EMPTY.fullmatch(value) and not _PRONOUN.match(value)


def _found(text: str) -> Iterator[str]:
    for match in _AFTER.finditer(text):
        yield from _at(text, match.end())
    for match in _NO_MORE.finditer(text):
        yield match["o"]
        yield re.split(_LED, match["o"])[-1]
    for match in _OVER.finditer(text):
        yield _before(text, match.start())


def _at(text: str, place: int) -> Iterator[str]:
    """The value that begins there: one that shows what it is, a name, or some words."""
    if match := _TIMED.match(text, place) or _TYPED.match(text, place):
        yield match.group()
        return
    phrase, named = _PHRASE.match(text, place), _NAMED.match(text, place)
    if phrase is not None and (named is None or named.end() < phrase.end()):
        yield phrase.group()
    if named is not None:
        yield named.group()


def _before(text: str, place: int) -> str:
    """The subject of the clause whose verb begins there."""
    start = 0
    for cut in _CUT.finditer(text, 0, place):
        start = cut.end()
    return re.sub(r"^(?:the|my|our|those|these|that|this)\s+", "", text[start:place], flags=re.IGNORECASE)
