"""What the words of a statement tell of how it is meant: of a change, of now, of one occasion, of a wish."""

from memsvc.extraction.patterns import words_of

_CHANGE = words_of(
    """
    now, nowadays, these days, any ?more, any longer, no longer, instead, from now on, as of, from next, changed,
    switched, moved, replaces?, replaced, replacement, became, upgraded, downgraded, raised, lowered, increased, decreased,
    reduced, rescheduled, postponed, slipped, took over, takes over, settled, relocated, migrated, rebooked, renamed,
    traded, swapped, back to, down to, up to, update, new
    """
)
_NOW = words_of("now, nowadays, these days, instead, from now on, as of, from next \\w+ on, no longer, any ?more")
_PASSING = words_of(
    """
    (?<!since\\s)(?<!of\\s)today, tonight, tomorrow, this (?:week|time|once|morning|evening|weekend),
    just once, for once, exceptionally
    """
)
_TO = r"\s+to\s+(?!the\b|an?\b|my\b)"
_INTENDED = words_of(
    """
    consider(?:s|ing)?, thinking, wonder(?:ing)?, should, might, may, could, would, will, recommend\\w*,
    suggest\\w*, if, unless, how about, in case, avoid
    """,
    more=r"\b(?:try(?:ing)?|tried|want(?:s|ed|ing)?|plan(?:s|ning|ned)?|hop(?:e|es|ing)|need(?:s|ed)?|going|gonna|like|love"
    r"|decid(?:e|ing)|how|whether|ready|able|aim(?:s|ing)?|intend(?:s|ing)?|prefer|wish|ways?|time|agreed|considered|about"
    rf"|used|advised|told\s+\w+|help(?:s|ed)?(?:\s+me)?){_TO}|['’](?:ll|d)\b|\?"
    r"|^(?:don['’]t|do\s+not|let['’]?s|never|always)\b",
)


def tells_change(text: str) -> bool:
    """Whether the words tell of a change: what is stated is so now, and was not before."""
    return _CHANGE.search(text) is not None


def tells_now(text: str) -> bool:
    """Whether the words say that it is so by now, of what goes on and not of what was done."""
    return _NOW.search(text) is not None


def is_passing(text: str) -> bool:
    """Whether the words tell of one occasion: "today the call is at 11"."""
    return _PASSING.search(text) is not None


def is_intended(text: str) -> bool:
    """Whether what the words say is only meant, wished, asked or advised, so that nothing has changed yet."""
    return _INTENDED.search(text) is not None
