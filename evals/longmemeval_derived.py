"""A pooled haystack from parts of LongMemEval: questions, their evidence turns, and complete distractor sessions.

The layout is a folder with `questions.jsonl`, `evidence.jsonl` and `distractor_sessions.jsonl`. All sessions go into
one space, and every question is asked of it. The evidence turns were chosen by retrievers, which favours retrieval:
results are of "LongMemEval-derived" and never of LongMemEval-S.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from evals.corpus import Conversation, Question, Role, Suite, Turn, files_digest, load_jsonl
from evals.longmemeval_official import parse_time

FILES = ("questions.jsonl", "evidence.jsonl", "distractor_sessions.jsonl")
# The tiers whose questions have a verbatim turn in every gold session; the others would be scored on half their gold.
COVERED = frozenset("ABC")
POOL = "pool"
# Shorter texts ("Thank you!") are said in many sessions: the same words are not the same turn.
_TELLING_CHARS = 40


def is_derived(folder: Path) -> bool:
    """Whether the folder has this layout."""
    return all((folder / name).is_file() for name in FILES)


def load(folder: Path) -> Suite:
    """The pool and its questions, in one conversation."""
    questions, evidence, distractors = (load_jsonl(folder / name) for name in FILES)
    conversation = build_pool(questions, {str(item["question_id"]): item for item in evidence}, distractors)

    def iterate() -> Iterator[Conversation]:
        yield conversation

    note = (
        "LongMemEval-derived: one pool of sessions for all questions. Its evidence turns were chosen by retrievers, so "
        "recall is biased upward; do not compare with LongMemEval-S."
    )
    digest = files_digest([folder / name for name in FILES])
    return Suite("longmemeval", "LongMemEval-derived", digest, (note,), 50, official=False, conversations=iterate)


def build_pool(
    questions: list[dict[str, Any]], evidence: dict[str, dict[str, Any]], distractors: list[dict[str, Any]]
) -> Conversation:
    """Distractor sessions first, then what is known of each question's evidence sessions."""
    pool = _Pool()
    for session in distractors:
        for message in session["turns"]:
            date = (session.get("dates") or [None])[0]
            pool.place(str(session["session_id"]), _role(message), str(message["content"]), date, dedupe=False)
    asked: list[Question] = []
    for raw in questions:
        found = evidence.get(str(raw["question_id"]), {})
        skip = _skip_reason(raw, found)
        gold, sessions = ((), ()) if skip else pool.add_evidence(found)
        skip = skip or (None if gold else "no evidence turn")
        now = parse_time(raw["question_date"]) if raw.get("question_date") else None
        asked.append(
            Question(
                id=str(raw["question_id"]),
                text=str(raw["question"]),
                type=str(raw["question_type"]),
                gold_turns=gold,
                gold_sessions=sessions,
                now=now,
                skip=skip,
            )
        )
    return Conversation(POOL, tuple(pool.turns()), tuple(asked))


class _Pool:
    """Sessions being filled. An evidence text that is known already is not placed again: gold must be one turn."""

    def __init__(self) -> None:
        self._sessions: dict[str, list[Turn]] = {}
        self._by_text: dict[str, Turn] = {}

    def place(self, session: str, role: Role, content: str, date: str | None, *, dedupe: bool = True) -> Turn:
        """The turn with this text: the one there is, or a new one at the end of the session."""
        known = self._by_text.get(content)
        if dedupe and known and (known.session == session or len(content) >= _TELLING_CHARS):
            return known
        turns = self._sessions.setdefault(session, [])
        turn = Turn(
            id=f"{session}_{len(turns) + 1}",
            session=session,
            role=role,
            content=content,
            timestamp=self._date(session, date),
        )
        turns.append(turn)
        self._by_text.setdefault(content, turn)
        return turn

    def add_evidence(self, found: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Place what is known of a question's evidence sessions; its gold turns and gold sessions."""
        gold: dict[str, None] = {}
        sessions: dict[str, None] = {}
        named = {str(turn["text"]): str(turn["session_id"]) for turn in found.get("evidence_turns", ())}
        for name, date, messages in _groups(found, named):
            for message in messages:
                content = str(message.get("content", message.get("text")))
                turn = self.place(name, _role(message), content, date)
                sessions[turn.session] = None
                if message.get("has_answer"):
                    gold[turn.id] = None
        most = max((turn.get("n_rankers", 0) for turn in found.get("evidence_turns", ())), default=0)
        of_assistant = found.get("question_type") == "single-session-assistant"
        for item in found.get("evidence_turns", ()):  # no role is given: the answer itself is the assistant's there
            role: Role = "assistant" if of_assistant and item.get("n_rankers", 0) == most else "user"
            turn = self.place(str(item["session_id"]), role, str(item["text"]), None)
            sessions[turn.session] = None
            gold[turn.id] = None
        return tuple(gold), tuple(sessions)

    def turns(self) -> Iterator[Turn]:
        """Every turn, session by session."""
        for turns in self._sessions.values():
            yield from turns

    def _date(self, session: str, date: str | None) -> datetime | None:
        if date:
            return parse_time(date)
        placed = self._sessions.get(session)
        return placed[0].timestamp if placed else None


def _groups(found: dict[str, Any], named: dict[str, str]) -> Iterator[tuple[str, str | None, list[dict[str, Any]]]]:
    """Complete sessions, then dated turns by session: name, date, messages."""
    for name, session in found.get("evidence_sessions_complete", {}).items():
        yield name, session.get("date"), session["turns"]
    dated = {date: list(turns) for date, turns in found.get("evidence_sessions_complete_by_date", {}).items()}
    for turn in found.get("evidence_turns_dated", ()):
        dated.setdefault(str(turn["date"]), []).append(turn)
    for date, messages in dated.items():
        yield _session_at(date, messages, found, named), date, messages


def _session_at(date: str, messages: list[dict[str, Any]], found: dict[str, Any], named: dict[str, str]) -> str:
    """The id of a session of which the date is known: that of an evidence turn in it, else one made of the date."""
    for message in messages:
        text = str(message.get("content", message.get("text")))
        if text in named:
            return named[text]
    only = found.get("answer_session_ids") or []
    return str(only[0]) if len(only) == 1 else f"{found['question_id']}@{date}"


def _skip_reason(raw: dict[str, Any], found: dict[str, Any]) -> str | None:
    if raw.get("abstention"):
        return "abstention"
    return None if str(found.get("coverage_tier", ""))[:1] in COVERED else "evidence incomplete"


def _role(message: dict[str, Any]) -> Role:
    return "assistant" if message["role"] == "assistant" else "user"
