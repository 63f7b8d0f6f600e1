"""From records to the flat figures of `summary.json`. Pure functions."""

import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence

import memsvc
from evals import longmemeval_official, metrics
from evals.records import ConversationRecord, QuestionRecord
from evals.runner import Plan
from evals.service import Footprint

Summary = dict[str, float | int | str | None]

HEADLINE = "turn.recall@10"


def summarize(
    plan: Plan,
    questions: Sequence[QuestionRecord],
    conversations: Sequence[ConversationRecord],
    stored: Footprint | None,
) -> Summary:
    """Every figure of a run under its key; `docs/evaluation.md` says what each one is."""
    summary: Summary = {}
    summary.update(quality(questions, seed=plan.seed))
    summary.update(per_type(questions))
    if plan.suite.official:
        summary.update(official(questions))
    summary.update(counts(questions, conversations))
    summary.update(costs(questions, conversations, stored))
    summary.update(settings(plan, questions))
    return summary


def quality(questions: Sequence[QuestionRecord], *, seed: int) -> Summary:
    """Means over the headline questions, by turn and by session, and an interval for the first of them."""
    rows = [plain(record) for record in questions if record.headline and record.metrics is not None]
    found: Summary = {**metrics.means(rows)}
    values = [row[HEADLINE] for row in rows if HEADLINE in row]
    if values:
        low, high = metrics.interval(values, seed=seed)
        found |= {f"{HEADLINE}.ci95_low": low, f"{HEADLINE}.ci95_high": high}
    for level in ("turn", "session"):
        found[f"{level}.n"] = sum(f"{level}.recall@10" in row for row in rows)
    return found


def per_type(questions: Sequence[QuestionRecord]) -> Summary:
    """Means of each question type, those outside the headline included, as `<metric>/<type>`."""
    found: Summary = {}
    for kind in sorted({record.type for record in questions}):
        rows = [plain(record) for record in questions if record.type == kind and record.metrics is not None]
        found |= {f"{key}/{kind}": value for key, value in metrics.means(rows).items()}
        found[f"n.questions/{kind}"] = len(rows)
    return found


def plain(record: QuestionRecord) -> dict[str, float]:
    """The record's metrics that are not LongMemEval's own."""
    return {key: value for key, value in (record.metrics or {}).items() if not key.startswith("official.")}


def official(questions: Sequence[QuestionRecord]) -> Summary:
    """LongMemEval's own figures in both variants of what they leave out."""
    rows = [
        {key: value for key, value in record.metrics.items() if key.startswith("official.")}
        for record in questions
        if record.metrics is not None
    ]
    with_gold = [row for row in rows if row.get("official.gold")]
    found: Summary = {}
    for variant, kept in ((longmemeval_official.RUN, with_gold), (longmemeval_official.PRINT, rows)):
        found[f"{variant}.n"] = len(kept)
        for key, value in metrics.means(kept).items():
            if key != "official.gold":
                found[key.replace("official", variant, 1)] = value
    return found


def counts(questions: Sequence[QuestionRecord], conversations: Sequence[ConversationRecord]) -> Summary:
    """How many there were of what; skipped questions also by reason."""
    skipped = Counter(record.skip for record in questions if record.skip)
    return {
        "n.conversations": len(conversations),
        "n.turns": sum(record.turns for record in conversations),
        "n.empty_turns": sum(record.empty for record in conversations),
        "n.questions": sum(record.headline and record.metrics is not None for record in questions),
        "n.asked": sum(record.metrics is not None for record in questions),
        "n.skipped": sum(skipped.values()),
        **{f"n.skipped/{reason}": number for reason, number in sorted(skipped.items())},
        "n.repaired": sum(record.repaired for record in questions),
        "n.dropped": sum(record.dropped for record in questions),
        "n.malformed": sum(record.repaired + record.dropped for record in questions),
        "n.degraded": sum(record.degraded for record in questions),
    }


def costs(
    questions: Sequence[QuestionRecord], conversations: Sequence[ConversationRecord], stored: Footprint | None
) -> Summary:
    """Speed and size. Conversations that the service had already do not count towards the speed of ingest."""
    fresh = [record for record in conversations if record.turns and record.created == record.turns]
    seconds = sum(record.seconds for record in fresh)
    latencies = [record.latency_ms for record in questions if record.latency_ms is not None]
    tokens = [float(record.context_tokens) for record in questions if record.context_tokens is not None]
    found: Summary = {}
    if seconds:
        found["ingest.items_per_s"] = sum(record.turns for record in fresh) / seconds
    if latencies:
        found["recall.p50_ms"] = metrics.percentile(latencies, 0.50)
        found["recall.p95_ms"] = metrics.percentile(latencies, 0.95)
    if tokens:
        found["context.tokens"] = sum(tokens) / len(tokens)
        found["context.n"] = len(tokens)
    if stored is not None and stored.memories:
        found["bytes_per_memory"] = stored.bytes / stored.memories
    return found


def settings(plan: Plan, questions: Sequence[QuestionRecord]) -> Summary:
    """What the figures depend on."""
    encoders = sorted({record.encoder for record in questions if record.encoder})
    return {
        "settings.suite": plan.suite.name,
        "settings.label": plan.suite.label,
        "settings.data_sha256": plan.suite.digest,
        "settings.k": plan.k,
        "settings.recipe": plan.recipe,
        "settings.limit": plan.limit,
        "settings.seed": plan.seed,
        "settings.contexts": plan.contexts,
        "settings.hash": plan.settings_hash,
        "settings.encoder": ", ".join(encoders) or None,
        **environment(),
    }


def environment() -> Mapping[str, str | int | None]:
    """The versions and the machine, as far as they bear on speed."""
    return {
        "settings.memsvc": memsvc.__version__,
        "settings.python": platform.python_version(),
        "settings.platform": f"{platform.system()} {platform.machine()}",
        "settings.cpus": os.cpu_count(),
    }
