"""Values and subjects of statements as keys: folded, and without what does not tell them apart."""

import re

from memsvc.text.analysis import fold

_CUT = re.compile(
    r"\s*(?:[;!?()]|:(?!\d)|\s[-–—]+\s|,\s+(?:and|but|so|which|where|who|though|because|as|with)\b|,\s*$"
    r"|\b(?:because|since|so(?! far| much| many| called|-)|when|(?<!a )while"
    r"|where|which|but|although|though|after|before"
    r"|until|thanks to|in order to)\b)",
)
_TRAILING = re.compile(
    r"[\s,]+(?:now|currently|anymore|any more|any longer|again|too|as well|these days|right now|at the moment|though"
    r"|lately|recently|instead|anyway|so much|a lot|very much|already|then|yet)\s*$",
    re.IGNORECASE,
)
_ARTICLE = re.compile(
    r"^(?:now|just|currently|actually|an?|the(?! user\b| assistant\b)|some|to be|about|around|approximately|roughly"
    r"|only)\s+",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[$€£¥]?\s?(\d[\d,]*(?:\.\d+)?)\s?(k|m|million|thousand)?(?=\W|$)", re.IGNORECASE)


def clean(value: str, *, article: bool = False) -> str:
    """A value folded, without what only follows it; without its article, unless `article`."""
    if cut := _CUT.search(value):
        value = value[: cut.start()]
    value = re.sub(r"[\"“”]", "", value).strip(" .,!?…'’)(-–—")
    while trailing := _TRAILING.search(value):
        value = value[: trailing.start()]
    while not article and (opening := _ARTICLE.match(value)):
        value = value[opening.end() :]
    return re.sub(r"\s+", " ", fold(value)).strip()


def number(value: str) -> str:
    """The number of a value in digits: "$30,000" and "30k" give "30000"; "" if it has none."""
    match = _NUMBER.search(value)
    if match is None:
        return ""
    digits, unit = match[1].replace(",", "").strip("."), (match[2] or "").lower()
    if unit and digits:
        scaled = float(digits) * (1_000 if unit in ("k", "thousand") else 1_000_000)
        return str(int(scaled)) if scaled == int(scaled) else str(scaled)
    return digits


def fold_subject(subject: str) -> str:
    """A subject as a key: folded, "my new car" and "my car" the same."""
    folded = re.sub(r"\s+", " ", fold(subject).replace(",", "")).strip(" .")
    return re.sub(r"^(?:an?|both) ", "", re.sub(r"('s) (?:new|current|own|dear|lovely|dearest) ", r"\1 ", folded))
