"""LongMemEval's own conventions: its dates, its ids, and its retrieval scoring as its scripts do it.

The scoring differs from the usual metrics: the corpus is the user turns; DCG discounts rank 1 and 2 alike,
`rel_0 + sum_{i>=1} rel_i / log2(i + 1)` with i counted from 0; and the session figures grow the list of turns until
it names k sessions. Averages come in two variants, which leave out different questions: `run` skips abstention
questions and those without a user turn that has the answer (419 questions remain of the cleaned file), `print` skips
abstention questions alone (470 remain), so that an empty gold counts 0 for any and nDCG and 1 for all.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from evals.corpus import Turn
from evals.metrics import KS

RUN, PRINT = "official.run", "official.print"


def parse_time(text: str) -> datetime:
    """ "2023/05/30 (Tue) 23:40"; the data names no zone, so it is taken as UTC."""
    day, _, hour = text.strip().split(" ")
    return datetime.strptime(f"{day} {hour}", "%Y/%m/%d %H:%M").replace(tzinfo=UTC)


def official_turn_id(session_id: str, number: int, *, has_answer: bool) -> str:
    """Id of a user turn in the published corpus; in an answer session, one without the answer is renamed."""
    name = f"{session_id}_{number}"
    return name if has_answer else name.replace("answer", "noans")


def is_gold(official_id: str) -> bool:
    """The published rule: an id that still holds "answer" after the renaming."""
    return "answer" in official_id


def score(ranked: Sequence[str], corpus: Sequence[str]) -> dict[str, float]:
    """`official.turn.*` and `official.session.*` of one question; both sequences hold official ids of user turns.

    `ranked` may be shorter than the corpus: `official.short@k` is 1 when it ended before k turns and k sessions.
    """
    gold = {name for name in corpus if is_gold(name)}
    sessions = [session_of(name) for name in corpus]
    ranked_sessions = [session_of(name) for name in ranked]
    gold_sessions = {session_of(name) for name in gold}
    found: dict[str, float] = {"official.gold": float(len(gold))}
    for k in KS:
        _put(found, "official.turn", k, ranked[:k], gold, corpus, k)
        depth = depth_for_sessions(ranked_sessions, k)
        _put(found, "official.session", k, ranked_sessions[:depth], gold_sessions, sessions, depth)
        short = len(ranked) < min(k, len(corpus)) or len(set(ranked_sessions)) < min(k, len(set(sessions)))
        found[f"official.short@{k}"] = float(short)
    return found


def session_of(official_id: str) -> str:
    """The id without its turn number."""
    return official_id.rpartition("_")[0]


def depth_for_sessions(ranked_sessions: Sequence[str], k: int) -> int:
    """The least depth >= k at which `k` different sessions are named, or the whole list."""
    depth = min(k, len(ranked_sessions))
    seen = set(ranked_sessions[:depth])
    while depth < len(ranked_sessions) and len(seen) < k:
        seen.add(ranked_sessions[depth])
        depth += 1
    return max(depth, k)


def dcg(relevances: Sequence[int]) -> float:
    """The published DCG: no discount at the first two ranks."""
    return sum(value / math.log2(max(2, i + 1)) for i, value in enumerate(relevances))


def ndcg(ranked: Sequence[str], gold: set[str], corpus: Sequence[str], k: int) -> float:
    """DCG over that of all gold of the corpus in front, cut at k; 0 without gold."""
    ideal = dcg([1] * min(k, sum(name in gold for name in corpus)))
    return dcg([int(name in gold) for name in ranked[:k]]) / ideal if ideal else 0.0


def corpus_ids(turns: Sequence[Turn]) -> list[str]:
    """Official ids of a haystack's user turns."""
    return [turn.official_id for turn in turns if turn.official_id is not None]


def _put(
    found: dict[str, float],
    level: str,
    k: int,
    ranked: Sequence[str],
    gold: set[str],
    corpus: Sequence[str],
    depth: int,
) -> None:
    seen = set(ranked)
    found[f"{level}.recall_any@{k}"] = float(any(name in seen for name in gold))
    found[f"{level}.recall_all@{k}"] = float(all(name in seen for name in gold))
    found[f"{level}.ndcg_any@{k}"] = ndcg(ranked, gold, corpus, depth)
