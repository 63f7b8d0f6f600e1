"""What a language model is asked for, when one is configured, and what of its answers is kept.

Every function takes the `Thinking` of the service, None where there is no model, and says by its result when the
LLM-free one stands. No transaction may be open during a call. The text of memories goes to the model as data, and what
comes back is checked against it (`memsvc.upkeep.thinking_checks`), for a model may make things up or obey the data.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from pydantic import JsonValue

from memsvc.errors import BusyError, EncoderUnavailableError
from memsvc.extraction.attributes import SINGLE_VALUED
from memsvc.extraction.model import Said
from memsvc.extraction.people import cast_of
from memsvc.ids import TenantId
from memsvc.inference import llm_metrics as metrics
from memsvc.inference.batcher import EncoderBatcher
from memsvc.inference.llm import LanguageModelError
from memsvc.inference.llm_asking import ask
from memsvc.inference.llm_calls import Calls
from memsvc.inference.llm_prompts import Prompt, T
from memsvc.store.database import Database
from memsvc.text.tokens import estimate_tokens
from memsvc.upkeep.spending import TenantPayer
from memsvc.upkeep.thinking_checks import SegmentFact, Verdict, agreed_verdict, checked_facts, entailed
from memsvc.upkeep.thinking_outputs import EXTRACT_FACTS, JUDGE, SUMMARIZE, VERIFY, Judgement, SummarySentence

log = structlog.get_logger(__name__)

# Small models read 8,192 tokens, their answer and the instructions included.
MOST_INPUT_TOKENS = 5000
MOST_FACTS = 24
MOST_SENTENCES = 8
LONGEST_SENTENCE = 500
# Less of a summary than this says too little of its sources: of the sentences proposed, of the extractive one's tokens.
LEAST_KEPT, LEAST_LENGTH = 0.5, 0.3


@dataclass(frozen=True, slots=True)
class Thinking:
    """A language model at work for the tenants of the service. `encoder`, when given, helps to check summaries."""

    calls: Calls
    database: Database
    clock: Callable[[], datetime]
    tokens_a_day: int
    max_output_tokens: int
    encoder: EncoderBatcher | None = None

    @property
    def extractor(self) -> str:
        """What made a fact of `extract_facts`: the model and the prompt."""
        return f"llm:{self.calls.model.name}:{EXTRACT_FACTS.id}"

    async def ask(self, tenant_id: TenantId, prompt: Prompt[T], values: dict[str, JsonValue]) -> T:
        """The model's answer, paid for by the tenant; `LanguageModelError` when there is none."""
        payer = TenantPayer(self.database, tenant_id, self.tokens_a_day, self.clock)
        return await ask(self.calls, payer, prompt, values, max_tokens=self.max_output_tokens)


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary and what wrote it; `dropped` counts the model's sentences that its sources did not bear out."""

    text: str
    writer: Literal["rules", "model"]
    dropped: int = 0


async def extract_facts(
    thinking: Thinking | None, tenant_id: TenantId, segment: Sequence[Said]
) -> tuple[SegmentFact, ...] | None:
    """The facts of a topic segment, by ONE call; at most `MOST_FACTS`, each quoted from the turn that states it.

    None when the model cannot say (there is none, it failed, the budget is spent, the segment is too long), and then
    the facts of the rules stand. An empty tuple is an answer: there is nothing to learn.
    """
    if thinking is None or not segment or not _fits(segment):
        return None
    turns: list[JsonValue] = [
        {"turn": number, **_shown(said), "to": cast_of(said).listener or None}
        for number, said in enumerate(segment, start=1)
    ]
    attributes: list[JsonValue] = [*sorted(SINGLE_VALUED)]
    try:
        answer = await thinking.ask(
            tenant_id, EXTRACT_FACTS, {"most": MOST_FACTS, "attributes": attributes, "turns": turns}
        )
    except LanguageModelError:
        return None
    kept, dropped = checked_facts(answer.facts, segment, most=MOST_FACTS)
    _count(EXTRACT_FACTS.name, dropped)
    if answer.facts and not kept:
        return None  # all of it was made up: that is no answer
    return tuple(kept)


async def judge(thinking: Thinking | None, tenant_id: TenantId, old: Said, new: Said) -> Verdict | None:
    """How a new statement relates to an old one of the same tenant, space and subject, by at most two calls.

    It is asked in both orders. What is unparsable, not confident, or differs between them is `uncertain`, and stays so.
    None when the model cannot be asked, and then the verdict of the rules stands.
    """
    if thinking is None or not _fits([old, new]):
        return None
    try:
        forward = await _compare(thinking, tenant_id, old, new)
        if forward.confidence != "high" or forward.relation == "uncertain":
            return "uncertain"
        backward = await _compare(thinking, tenant_id, new, old)
    except LanguageModelError as error:
        return "uncertain" if error.cause == "invalid" else None
    return agreed_verdict(forward, backward, old.content, new.content)


async def summarize(
    thinking: Thinking | None,
    tenant_id: TenantId,
    sources: Sequence[Said],
    *,
    extractive: Callable[[Sequence[Said]], str],
) -> Summary:
    """A summary of the sources: the model's, of the sentences that they bear out, else the extractive one.

    A sentence has to pass `entailed`, and then the model's own verification when that can be had. When fewer than half
    of the sentences are left, or far less text than the extractive summary has, that one stands.
    """
    plain = Summary(extractive(sources), "rules")
    if thinking is None or not sources or not _fits(sources):
        return plain
    shown: list[JsonValue] = [{"source": number, **_shown(said)} for number, said in enumerate(sources, start=1)]
    try:
        answer = await thinking.ask(tenant_id, SUMMARIZE, {"most": MOST_SENTENCES, "sources": shown})
    except LanguageModelError:
        return plain
    proposed = answer.sentences[:MOST_SENTENCES]
    kept = await _entailed_ones(thinking, proposed, sources)
    kept = await _verified_ones(thinking, tenant_id, kept, sources)
    dropped = len(proposed) - len(kept)
    _count(SUMMARIZE.name, Counter({"not_supported": dropped}))
    text = " ".join(sentence.text.strip() for sentence in kept)
    is_enough = (
        len(kept) >= LEAST_KEPT * len(proposed)
        and estimate_tokens(text) >= LEAST_LENGTH * estimate_tokens(plain.text)
        and len(text) < sum(len(said.content) for said in sources)
    )
    return Summary(text, "model", dropped) if kept and is_enough else Summary(plain.text, "rules", dropped)


async def _compare(thinking: Thinking, tenant_id: TenantId, first: Said, second: Said) -> Judgement:
    return await thinking.ask(tenant_id, JUDGE, {"first": _shown(first), "second": _shown(second)})


async def _entailed_ones(
    thinking: Thinking, proposed: Sequence[SummarySentence], sources: Sequence[Said]
) -> list[SummarySentence]:
    """The sentences of the right form whose cited sources bear them out, as far as words and vectors tell."""
    formed = [
        sentence
        for sentence in proposed
        if 0 < len(sentence.text.strip()) <= LONGEST_SENTENCE
        and sentence.text.isprintable()
        and sentence.sources
        and all(1 <= number <= len(sources) for number in sentence.sources)
    ]
    similarities = await _similarities(thinking.encoder, formed, sources)
    return [
        sentence
        for sentence, similarity in zip(formed, similarities, strict=True)
        if entailed(sentence.text, _cited(sentence, sources), similarity=similarity)
    ]


async def _similarities(
    encoder: EncoderBatcher | None, formed: Sequence[SummarySentence], sources: Sequence[Said]
) -> list[float | None]:
    """Cosine of each sentence to the nearest source that it cites; None where the encoder cannot tell."""
    unknown: list[float | None] = [None] * len(formed)
    if encoder is None or not formed:
        return unknown
    texts = [*(sentence.text for sentence in formed), *(said.content for said in sources)]
    try:
        vectors = (await encoder.encode_documents(texts)).vectors
    except (EncoderUnavailableError, BusyError, ValueError):  # ValueError: a source over the encoder's limit
        return unknown
    cosines = vectors[: len(formed)] @ vectors[len(formed) :].T
    return [
        max(float(row[number - 1]) for number in sentence.sources)
        for row, sentence in zip(cosines, formed, strict=True)
    ]


async def _verified_ones(
    thinking: Thinking, tenant_id: TenantId, kept: list[SummarySentence], sources: Sequence[Said]
) -> list[SummarySentence]:
    """Those that the model itself finds supported; all of them when it cannot be asked."""
    if not kept:
        return kept
    shown: list[JsonValue] = [
        {"sentence": number, "text": sentence.text, "sources": [*_cited(sentence, sources)]}
        for number, sentence in enumerate(kept, start=1)
    ]
    try:
        answer = await thinking.ask(tenant_id, VERIFY, {"sentences": shown})
    except LanguageModelError:
        return kept
    supported = {verdict.sentence for verdict in answer.verdicts if verdict.supported}
    refused = {verdict.sentence for verdict in answer.verdicts if not verdict.supported}
    return [sentence for number, sentence in enumerate(kept, start=1) if number in supported - refused]


def _cited(sentence: SummarySentence, sources: Sequence[Said]) -> list[str]:
    """The sources as a sentence may draw on them: who said it and when belong to what it says."""
    return [_told(sources[number - 1]) for number in dict.fromkeys(sentence.sources)]


def _told(said: Said) -> str:
    day = "" if said.at is None else f" ({said.at.day} {said.at:%B %Y})"
    return f"{cast_of(said).speaker}{day}: {said.content}"


def _shown(said: Said) -> dict[str, JsonValue]:
    return {
        "speaker": cast_of(said).speaker,
        "said_at": None if said.at is None else f"{said.at:%A} {said.at.isoformat()}",
        "text": said.content,
    }


def _fits(texts: Sequence[Said]) -> bool:
    return sum(estimate_tokens(said.content) for said in texts) <= MOST_INPUT_TOKENS


def _count(purpose: str, dropped: Counter[str]) -> None:
    for reason, number in dropped.items():
        metrics.DROPPED.labels(purpose, reason).inc(number)
    if dropped.total():
        log.info("llm_answer_dropped", purpose=purpose, **dropped)
