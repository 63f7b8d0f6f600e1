"""LoCoMo (Maharana et al., 2024) in its official schema: one list of samples, or one sample per file."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals.corpus import Conversation, DatasetError, Question, Suite, Turn, files_digest, load_json, sessions_of

TYPES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
_SESSION = re.compile(r"session_(\d+)")
_EVIDENCE = re.compile(r"D:?(\d+):(\d+)")


def load(data: Path) -> Suite:
    """Read a file, or every `*.json` of a folder; `DatasetError` when it holds no sample."""
    files = [data] if data.is_file() else sorted(data.glob("*.json"))
    if not files:
        raise DatasetError(f"{data}: no *.json file")
    samples: list[tuple[str, dict[str, Any]]] = []
    for path in files:
        content = load_json(path)
        for sample in content if isinstance(content, list) else [content]:
            if not isinstance(sample, dict) or "conversation" not in sample or "qa" not in sample:
                raise DatasetError(f"{path}: a sample needs `conversation` and `qa`")
            samples.append((str(sample.get("sample_id") or f"{path.stem}-{len(samples) + 1}"), sample))
    conversations = [read_sample(name, sample) for name, sample in samples]

    def iterate() -> Iterator[Conversation]:
        yield from conversations

    notes = ("Headline: categories 1-4. Category 5 (adversarial) is reported by itself alone.",)
    return Suite("locomo", "LoCoMo", files_digest(files), notes, 50, official=False, conversations=iterate)


def read_sample(name: str, sample: dict[str, Any]) -> Conversation:
    """One sample: every turn of every session that has turns, and every question."""
    turns = tuple(_turns(sample["conversation"]))
    known = {turn.id for turn in turns}
    ends = max((turn.timestamp for turn in turns if turn.timestamp), default=None)
    questions = tuple(
        _question(f"{name}/{number}", raw, turns=turns, known=known, now=ends)
        for number, raw in enumerate(sample["qa"], start=1)
    )
    return Conversation(name, turns, questions)


def parse_time(text: str) -> datetime:
    """ "1:56 pm on 8 May, 2023"; the data names no zone, so it is taken as UTC."""
    return datetime.strptime(text.strip(), "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)


def repair_evidence(raw: Sequence[object], known: set[str]) -> tuple[tuple[str, ...], int, int]:
    """Gold ids, how many labels were repaired, and how many dropped because they name no turn.

    A label may hold several ids ("D8:6; D9:17"), a stray colon ("D:11:26") or a leading zero ("D30:05").
    """
    gold: dict[str, None] = {}
    repaired = dropped = 0
    for label in map(str, raw):
        if label in known:
            gold[label] = None
            continue
        read = [f"D{int(session)}:{int(turn)}" for session, turn in _EVIDENCE.findall(label)]
        if read and all(turn_id in known for turn_id in read):
            repaired += 1
            gold.update(dict.fromkeys(read))
        else:
            dropped += 1
    return tuple(gold), repaired, dropped


def _turns(conversation: dict[str, Any]) -> Iterator[Turn]:
    numbers = sorted(int(match[1]) for key in conversation if (match := _SESSION.fullmatch(key)))
    for number in numbers:
        stated = conversation.get(f"session_{number}_date_time")
        timestamp = parse_time(stated) if stated else None
        for raw in conversation[f"session_{number}"]:
            text, caption = str(raw["text"]), raw.get("blip_caption")
            yield Turn(
                id=str(raw["dia_id"]),
                session=f"session_{number}",
                role="user",  # both speakers are people
                content=f"{text} [image: {caption}]".strip() if caption else text,
                name=str(raw["speaker"]),
                timestamp=timestamp,
            )


def _question(
    question_id: str, raw: dict[str, Any], *, turns: tuple[Turn, ...], known: set[str], now: datetime | None
) -> Question:
    gold, repaired, dropped = repair_evidence(raw.get("evidence") or (), known)
    category = int(raw["category"])
    return Question(
        id=question_id,
        text=str(raw["question"]),
        type=TYPES.get(category, f"category-{category}"),
        gold_turns=gold,
        gold_sessions=sessions_of(turns, gold),
        now=now,
        headline=category != 5,
        skip=None if gold else "no evidence",
        repaired=repaired,
        dropped=dropped,
    )
