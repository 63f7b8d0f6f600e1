"""What a language model is asked, and the form of its answers."""

from typing import Literal

from memsvc.extraction.model import FactKind
from memsvc.inference.llm_prompts import Output, Prompt


class ExtractedFact(Output):
    """One fact, as the model tells it."""

    turn: int
    quote: str
    kind: FactKind
    text: str
    subject: str
    attribute: str
    value: str
    negated: bool
    when: str | None
    entities: list[str]


class ExtractedFacts(Output):
    """The facts of a segment."""

    facts: list[ExtractedFact]


class Judgement(Output):
    """How two statements relate, in the order in which they were shown."""

    relation: Literal["duplicate", "refinement", "contradiction", "unrelated", "uncertain"]
    more_specific: Literal["first", "second", "neither"]
    confidence: Literal["low", "medium", "high"]


class SummarySentence(Output):
    """A sentence and the numbers of the sources it rests on."""

    text: str
    sources: list[int]


class SummarySentences(Output):
    """A summary."""

    sentences: list[SummarySentence]


class SentenceVerdict(Output):
    """Whether the sources of a sentence bear it out."""

    sentence: int
    supported: bool


class SentenceVerdicts(Output):
    """A verdict for each sentence."""

    verdicts: list[SentenceVerdict]


EXTRACT_FACTS = Prompt("extract_facts", 1, ExtractedFacts)
JUDGE = Prompt("judge", 1, Judgement)
SUMMARIZE = Prompt("summarize", 1, SummarySentences)
VERIFY = Prompt("verify", 1, SentenceVerdicts)
PROMPTS = (EXTRACT_FACTS, JUDGE, SUMMARIZE, VERIFY)
