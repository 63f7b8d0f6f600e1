"""Part `llm`: how many calls and tokens consolidation asks of a model, counted at the model's end.

The model stands in for a diligent one: it answers every question in its form with words of the data, so that the calls
that follow from an answer are made too. Tokens are about four characters each, as the service estimates them.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from evals import llm_server
from evals.llm_server import MODEL, Question, Reply
from evals.workers_cost import real_turns, store
from evals.workers_service import QUIET, learned, own_service
from memsvc.text.chunking import sentences
from memsvc.text.tokens import estimate_tokens

_LEAST_WORTH = 40
_MOST_SENTENCES = 4

Figures = dict[str, float | int | str | None]
Say = Callable[[str], object]


@dataclass
class Diligent:
    """Answers, and counts calls by purpose and tokens."""

    calls: Counter[str] = field(default_factory=Counter)
    input_tokens: int = 0
    output_tokens: int = 0

    def answer(self, question: Question) -> Reply:
        """The answer to one question, with its usage."""
        found = reply(question.purpose, question.data)
        given = sum(estimate_tokens(str(message["content"])) for message in question.body["messages"])
        told = estimate_tokens(json.dumps(found))
        self.calls[question.purpose] += 1
        self.input_tokens += given
        self.output_tokens += told
        return llm_server.say(
            found, usage={"prompt_tokens": given, "completion_tokens": told, "total_tokens": given + told}
        )


def measure(data: Path, *, turns: int, say: Say) -> Figures:
    """Consolidate real turns with that model configured."""
    model = Diligent()
    with llm_server.serving() as server:
        server.answer = model.answer
        # The bound of a day's tokens is another matter than what the work asks for.
        env = {**QUIET, "MEMSVC_LLM_URL": server.url, "MEMSVC_LLM_MODEL": MODEL, "MEMSVC_LLM_TOKENS_A_DAY": "0"}
        with own_service(env) as target:
            batch = list(islice(real_turns(data), turns))
            say(f"llm: consolidating {len(batch)} turns")
            space = store(target, batch)
            runs = target.work("consolidate", space)
    per_1000 = 1000 / len(batch)
    return {
        "llm.calls_per_1000": sum(model.calls.values()) * per_1000,
        "llm.input_tokens_per_1000": model.input_tokens * per_1000,
        "llm.output_tokens_per_1000": model.output_tokens * per_1000,
        **{f"llm.calls_per_1000/{purpose}": calls * per_1000 for purpose, calls in sorted(model.calls.items())},
        "llm.n.turns": len(batch),
        **{f"llm.n.{action}": number for action, number in learned(runs).items()},
    }


def reply(purpose: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What is answered: facts that quote, sentences that copy, every sentence borne out, no two statements related."""
    if purpose == "extract_facts":
        return {"facts": list(_facts(data))}
    if purpose == "summarize":
        copied = [_first(source["text"]) for source in data["sources"][:_MOST_SENTENCES]]
        return {"sentences": [{"text": text, "sources": [number]} for number, text in enumerate(copied, start=1)]}
    if purpose == "verify":
        return {"verdicts": [{"sentence": item["sentence"], "supported": True} for item in data["sentences"]]}
    if purpose == "judge":
        return {"relation": "unrelated", "more_specific": "neither", "confidence": "high"}
    return {}


def _facts(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    worth = [turn for turn in data["turns"] if len(turn["text"]) >= _LEAST_WORTH]
    for turn in worth[: data["most"]]:
        quote = _first(turn["text"])
        yield {
            "turn": turn["turn"],
            "quote": quote,
            "kind": "fact",
            "text": quote,
            "subject": turn["speaker"],
            "attribute": "",
            "value": "",
            "negated": False,
            "when": None,
            "entities": [],
        }


def _first(text: str) -> str:
    found = sentences(text)
    return found[0] if found else text.strip()
