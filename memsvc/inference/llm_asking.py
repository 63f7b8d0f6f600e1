"""Typed questions to a language model: an answer of the right form, or none."""

from collections.abc import Mapping

import structlog
from pydantic import JsonValue

from memsvc.inference import llm_metrics as metrics
from memsvc.inference.llm import LanguageModelError
from memsvc.inference.llm_calls import Calls, Payer
from memsvc.inference.llm_prompts import InvalidAnswerError, Prompt, T, repair

log = structlog.get_logger(__name__)


async def ask(calls: Calls, payer: Payer, prompt: Prompt[T], values: Mapping[str, JsonValue], *, max_tokens: int) -> T:
    """The answer to `prompt` about `values`; `LanguageModelError` when there is none, and the caller does without.

    An answer of another form is asked for once more, with what was wrong. What it says is not checked here: a model
    may make things up, or do what the data told it to. No transaction may be open meanwhile.
    """
    request = prompt.request(values, max_tokens=max_tokens)
    try:
        answer = await calls.ask(request, payer)
        try:
            return prompt.read(answer.text)
        except InvalidAnswerError as fault:
            metrics.INVALID.labels(prompt.name).inc()
            again = repair(request, answer.text, fault)
        return prompt.read((await calls.ask(again, payer)).text)
    except InvalidAnswerError:
        metrics.INVALID.labels(prompt.name).inc()
        log.warning("llm_answer_invalid", prompt=prompt.id)
        raise LanguageModelError("invalid", worked=True) from None
    except LanguageModelError as error:
        log.info("llm_unavailable", prompt=prompt.id, cause=error.cause)
        raise
