"""Parts `throughput` and `llm`: consolidation in time, against the encoder alone, and in calls to a model."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import uuid4

from evals import locomo
from evals.bench_encoder import EncoderProcess
from evals.corpus import Turn
from evals.runner import batches
from evals.workers_service import Target

Figures = dict[str, float | int | str | None]
Say = Callable[[str], object]


def measure_throughput(target: Target, data: Path, *, turns: int, rounds: int, say: Say) -> Figures:
    """Rounds of both on the same turns, the order swapped every time; each round has turns of its own."""
    stream = real_turns(data)
    rates: dict[str, list[float]] = {"consolidate": [], "encoder": []}
    with EncoderProcess() as encoder:
        warm = store(target, list(islice(stream, 60)))
        target.work("consolidate", warm)
        for number in range(rounds):
            batch = list(islice(stream, turns))
            if not batch:
                break
            space = store(target, batch)
            for name in ("consolidate", "encoder") if number % 2 == 0 else ("encoder", "consolidate"):
                if name == "encoder":
                    seconds = encoder.encode_documents([turn.content for turn in batch])
                else:
                    started = perf_counter()
                    target.work("consolidate", space)
                    seconds = perf_counter() - started
                rates[name].append(len(batch) / seconds)
            say(f"throughput: {rates['consolidate'][-1]:.0f} turns/s, encoder alone {rates['encoder'][-1]:.0f}")
    ours, alone = median(rates["consolidate"]), median(rates["encoder"])
    return {
        "throughput.over_encoder": ours / alone,
        "throughput.consolidate.turns_per_s": ours,
        "throughput.encoder.turns_per_s": alone,
        "throughput.rounds": len(rates["encoder"]),
        "throughput.turns": turns,
    }


def real_turns(data: Path) -> Iterator[Turn]:
    """LoCoMo's turns with text, conversation after conversation; sessions keep their conversations apart."""
    for conversation in locomo.load(data / "locomo").conversations():
        for turn in conversation.turns:
            if turn.content.strip():
                yield Turn(
                    f"{conversation.id}:{turn.id}",
                    f"{conversation.id}:{turn.session}",
                    turn.role,
                    turn.content,
                    turn.name,
                    turn.timestamp,
                )


def store(target: Target, turns: Sequence[Turn]) -> str:
    """Put them into a new space; its name."""
    space = f"cost-{uuid4().hex[:8]}"
    for batch in batches(turns):
        messages = [
            {
                "role": turn.role,
                "name": turn.name,
                "content": turn.content,
                "timestamp": turn.timestamp,
                "session": turn.session,
            }
            for turn in batch
        ]
        written = target.client.add(messages=messages, space=space, timezone="UTC", wait=True)
        assert written.receipt.searchable
    return space
