"""How far the results of a recall can be trusted to hold evidence for the query: one number, and "nothing bears on it".

A few signals of the shortlist, standardized and added with equal weights (Dawes, 1979: beside few examples a sum of
standardized signals beats fitted weights), then a logistic curve of two numbers. What the signals are measured against
stands in `confidence.json`, which `python -m evals abstain --fit` writes; docs/confidence.md says how well it works.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memsvc.retrieval.bm25 import LexicalScores
from memsvc.retrieval.cues import named_speakers
from memsvc.retrieval.model import Floats
from memsvc.retrieval.query import QueryReading
from memsvc.retrieval.rank import Shortlist

Flags = NDArray[np.bool_]
Signals = Mapping[str, float]

# How deep the shortlist is looked into; what is talked of often is talked of in more than one place.
_FEW, _FIFTH, _TENTH, _TWENTIETH = 3, 5, 10, 20
# The words whose weakest match counts: a question stands and falls with its rarest ones.
_RAREST = 3
# What each model needs; the first one whose signals are there speaks.
TOKENS = ("around_best", "around_fifth", "rare_best", "rare_twentieth")
VECTORS = ("around_best", "around_fifth", "held")
WORDS = ("held", "covered", "covered_tenth", "rarity")
NEEDED: Mapping[str, str] = {"tokens": "rare_best", "vectors": "around_best", "words": "held"}


@dataclass(frozen=True, slots=True)
class WordMatches:
    """What each of t words weighs, float32[t], and how well each of n memories matches it, float32[n, t], 0 to 1."""

    weights: Floats
    matches: Floats


@dataclass(frozen=True, slots=True)
class Findings:
    """What a recall knows of its shortlist of n memories; None for what it did not look at.

    `around` float32[n]: cosines averaged over neighbouring turns. `terms`: which index terms a memory holds. `tokens`:
    its late interaction; rows of NaN are memories without codes. `lexical` float32[n]: BM25 as a share of the query.
    `named` bool[n]: said by someone whom the query names.
    """

    around: Floats | None
    terms: WordMatches | None
    tokens: WordMatches | None
    lexical: Floats
    named: Flags


@dataclass(frozen=True, slots=True)
class Assessment:
    """`confidence` is None when nothing can be said. `signals` are what it was made of."""

    confidence: float | None
    no_evidence: bool
    signals: Signals


NOTHING_FOUND = Assessment(0.0, True, {})
NOT_ASSESSED = Assessment(None, False, {})


def find(
    query: QueryReading,
    shortlist: Shortlist,
    lexical: LexicalScores,
    tokens: WordMatches | None,
    names: Mapping[int, str | None],
) -> Findings:
    """What a recall knows of its shortlist; `names` are the speakers by memory, and `tokens` its late interaction."""
    columns, memory = shortlist.sheet.columns, shortlist.sheet.memory.tolist()
    if not memory:
        return Findings(None, None, None, np.empty(0, np.float32), np.empty(0, np.bool_))
    around = columns["dense_window"].raw
    idf = np.fromiter(lexical.idf.values(), np.float32, len(lexical.idf))
    named = named_speakers(query, names.values())
    return Findings(
        around=None if np.isnan(around).all() else around,
        terms=WordMatches(idf, lexical.held(shortlist.best_chunk)) if len(idf) else None,
        tokens=tokens,
        lexical=lexical.share(columns["lexical"].raw),
        named=np.array([names.get(number) in named for number in memory], np.bool_),
    )


def assess(findings: Findings, *, encoder: str) -> Assessment:
    """What the results are worth. Vectors of an encoder that was not calibrated say nothing: then words alone speak."""
    if not len(findings.named):
        return NOTHING_FOUND
    return judge(read_signals(findings), encoder=encoder)


def judge(signals: Signals, *, encoder: str) -> Assessment:
    """The confidence that the signals give. A signal that is missing counts as an average one."""
    calibration = _calibration()
    known = encoder in calibration["encoders"]
    model = next((name for name, key in NEEDED.items() if key in signals and (known or name == "words")), None)
    if model is None:
        return Assessment(None, False, signals)
    fitted, speaker = calibration["models"][model], calibration["speaker"]
    relevance = relevance_of(signals, fitted["signals"])
    nothing = relevance < fitted["least_relevance"]
    said = speaker_part(signals, speaker)
    # Who said it cannot lift what nothing bears on.
    score = relevance + (min(said, 0.0) if nothing else said)
    confidence = 1 / (1 + np.exp(-(fitted["intercept"] + fitted["slope"] * score)))
    return Assessment(round(float(confidence), 4), bool(nothing), signals)


def relevance_of(signals: Signals, scales: Mapping[str, Mapping[str, float]]) -> float:
    """How much of what was asked is there, whoever said it: a weighted sum of standardized signals."""
    return sum(
        scale["weight"] * (signals[name] - scale["mean"]) / scale["deviation"]
        for name, scale in scales.items()
        if name in signals
    )


def speaker_part(signals: Signals, scale: Mapping[str, float]) -> float:
    """What it adds that the named speaker said it, and how much it takes that another one said it better."""
    if "speaker" not in signals:
        return 0.0
    over = min(signals["speaker"] - scale["mean"], scale["most"])
    return scale["weight"] * over / scale["deviation"]


def read_signals(findings: Findings) -> dict[str, float]:
    """The signals by name; those that cannot be read are left out.

    - `around_best`, `around_fifth`: cosines of the best and the fifth passage. One match may be chance.
    - `rare_best`, `rare_twentieth`: how well a memory matches even the weakest of the query's three rarest words.
    - `held`: 1 less the share of the query that its heaviest word has which is not there, mean of the three best.
    - `covered`, `covered_tenth`: the share of the query that memories hold, mean of the three best, and the tenth.
    - `rarity`: mean idf of the query's words. Words that are rare in a space, or unknown to it, ask for what is not.
    - `speaker`: how far the words of whom the query names outdo what others said on it, as a share of the query.
    """
    named = findings.named
    told_apart = bool(named.any() and not named.all())
    fitting = named if told_apart else np.ones(len(named), bool)
    signals: dict[str, float] = {}
    if findings.around is not None:
        _put(signals, "around_best", findings.around, 1)
        _put(signals, "around_fifth", findings.around, _FIFTH)
    if findings.tokens is not None and len(findings.tokens.weights):
        weakest = _weakest_of_rarest(findings.tokens)
        _put(signals, "rare_best", weakest[fitting], 1)
        _put(signals, "rare_twentieth", weakest, _TWENTIETH)
    if findings.terms is not None and len(findings.terms.weights):
        share = _shares(findings.terms.weights)
        signals["rarity"] = float(findings.terms.weights.mean())
        missing = ((1 - findings.terms.matches) * share).max(axis=1)
        signals["held"] = 1 - float(np.sort(missing[fitting])[:_FEW].mean())
        covered = findings.terms.matches @ share
        signals["covered"] = _mean_of_best(covered[fitting])
        _put(signals, "covered_tenth", covered, _TENTH)
        if told_apart:
            signals["speaker"] = _mean_of_best(findings.lexical[named]) - _mean_of_best(findings.lexical[~named])
    return signals


def _weakest_of_rarest(tokens: WordMatches) -> Floats:
    rarest = np.argsort(-tokens.weights, kind="stable")[:_RAREST]
    weakest: Floats = np.clip(tokens.matches[:, rarest], 0, 1).min(axis=1)
    return weakest


def _shares(weights: Floats) -> Floats:
    total = float(weights.sum())
    return weights / np.float32(total) if total > 0 else np.full(len(weights), 1 / len(weights), np.float32)


def _mean_of_best(values: Floats) -> float:
    return float(np.sort(values)[-_FEW:].mean())


def _put(signals: dict[str, float], name: str, values: Floats, rank: int) -> None:
    known = values[~np.isnan(values)]
    # A space of few memories has no twentieth: that says nothing of what is in it.
    if len(known) >= rank:
        signals[name] = float(np.sort(known)[-rank])


@cache
def _calibration() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("memsvc.retrieval").joinpath("confidence.json").read_text("utf-8"))
    return found
