"""Patterns out of lists of words, so that a list reads as one."""

import re


def one_of(text: str) -> str:
    """Any of the words or phrases of a list with commas, the longest first, without a group of its own.

    A blank stands for any white space and an apostrophe for a straight or a curved one; the rest is a pattern as it is,
    in which a comma stands only within brackets or braces.
    """
    found = [part.strip() for part in re.split(r",(?![^(]*\))(?![^{]*\})", text) if part.strip()]
    spaced = (re.sub(r"(?<!\[-) +(?!\])", r"\\s+", part).replace("'", "['’]") for part in found)
    return "(?:" + "|".join(sorted(spaced, key=len, reverse=True)) + ")"


def words_of(text: str, more: str = "") -> re.Pattern[str]:
    """Any phrase of a list, as whole words, whatever its case; `more` are further patterns, joined with "|"."""
    return re.compile(rf"\b{one_of(text)}\b" + (f"|{more}" if more else ""), re.IGNORECASE)
