"""Part `llm`: how many calls and tokens consolidation asks of a model, counted at the model's end."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from evals.workers_cost import real_turns, store
from evals.workers_endpoint import MODEL, counting
from evals.workers_service import QUIET, learned, own_service

Figures = dict[str, float | int | str | None]
Say = Callable[[str], object]


def measure(data: Path, *, turns: int, say: Say) -> Figures:
    """Consolidate real turns with the counting endpoint configured."""
    with counting() as (url, meter):
        # The bound of a day's tokens is another matter than what the work asks for.
        env = {**QUIET, "MEMSVC_LLM_URL": url, "MEMSVC_LLM_MODEL": MODEL, "MEMSVC_LLM_TOKENS_A_DAY": "0"}
        with own_service(env) as target:
            batch = list(islice(real_turns(data), turns))
            say(f"llm: consolidating {len(batch)} turns")
            space = store(target, batch)
            runs = target.work("consolidate", space)
    per_1000 = 1000 / len(batch)
    return {
        "llm.calls_per_1000": sum(meter.calls.values()) * per_1000,
        "llm.input_tokens_per_1000": meter.input_tokens * per_1000,
        "llm.output_tokens_per_1000": meter.output_tokens * per_1000,
        **{f"llm.calls_per_1000/{purpose}": calls * per_1000 for purpose, calls in sorted(meter.calls.items())},
        "llm.n.turns": len(batch),
        **{f"llm.n.{action}": number for action, number in learned(runs).items()},
    }
