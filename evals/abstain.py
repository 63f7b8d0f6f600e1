"""How well confidence tells questions with evidence from those without, over HTTP, and what it is calibrated on.

Every question of a suite is asked of its own conversation, those that cannot be answered too, and questions of other
conversations are asked on top: on them nothing was said at all.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from evals import report, runner, suites
from evals.abstain_fit import (
    Asked,
    Judged,
    Kind,
    auroc,
    auroc_interval,
    calibrate,
    calibration_error,
    leave_one_out,
)
from evals.corpus import Conversation, Question, SuiteName
from evals.runner import Haystack, Plan
from evals.summary import environment
from evals.workers_recall import SETS
from evals.workers_service import QUIET, Target, own_service
from memsvc.retrieval.confidence import NEEDED

EXPLANATION = (
    "Confidence of recalls on questions that their conversation answers (`answerable`), on those that the data set "
    "made so that it does not (`unanswerable`), and on questions of another conversation (`foreign`). `served.*` is "
    "what the service says, with the calibration that it ships; `<model>.left_out.*` what a calibration on the other "
    "sets alone says of each set."
)
KINDS: tuple[Kind, ...] = ("answerable", "unanswerable", "foreign")
_K = 10
_CLIENTS = 3

Figures = dict[str, float | int | str | None]
Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Order:
    """What to measure. `limit`: the first conversations alone; `foreign`: questions of others, in each set.

    `consolidated`: facts are drawn from the turns first, as the workers of a service do in time.
    """

    data: Path
    out: Path
    names: tuple[SuiteName, ...] = tuple(SETS)
    limit: int | None = None
    foreign: int = 150
    consolidated: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A question as the service answered it."""

    suite: SuiteName
    kind: Kind
    conversation: str
    question: str
    text: str
    encoder: str
    confidence: float | None
    no_evidence: bool
    signals: Mapping[str, float]


def run(order: Order, *, say: Say) -> tuple[list[Answer], Figures]:
    """Ask everything of a service of its own, and write what came of it; the answers and the figures."""
    order.out.mkdir(parents=True, exist_ok=True)
    loaded = {name: suites.load(name, order.data / SETS[name]) for name in order.names}
    talks = {name: list(islice(suite.conversations(), order.limit)) for name, suite in loaded.items()}
    answers: list[Answer] = []
    with own_service(QUIET) as target:
        for name, suite in loaded.items():
            plan = Plan(suite, _K, seed=order.seed, contexts=0)
            for conversation, foreign in borrow(name, talks, order):
                say(f"{suite.label} {conversation.id}: {len(conversation.turns)} turns")
                haystack = runner.place(plan, conversation)
                runner.ingest(plan, target.client, haystack)
                if order.consolidated:
                    target.work("consolidate", haystack.space)
                answers += ask(target, name, haystack, foreign)
    figures = measure(answers, seed=order.seed)
    figures |= {f"settings.{key}": value for key, value in _settings(order).items()}
    figures |= {f"settings.{name}.data_sha256": suite.digest for name, suite in loaded.items()}
    figures |= environment()
    write(order.out, answers, figures)
    return answers, figures


def kind_of(question: Question) -> Kind | None:
    """Whether its conversation answers it; None where the data cannot tell."""
    if question.type == "adversarial" or question.skip == "abstention":
        return "unanswerable"
    return "answerable" if question.skip is None else None


def borrow(
    name: SuiteName, talks: Mapping[SuiteName, Sequence[Conversation]], order: Order
) -> Iterator[tuple[Conversation, list[Question]]]:
    """Every conversation of a set, with questions of its others, or of the other sets where it has one alone.

    One that names a speaker of the conversation could be meant for him, and is left out.
    """
    generator = np.random.default_rng(order.seed)
    own = talks[name]
    for conversation in own:
        others = [talk for talk in own if talk is not conversation]
        others = others or [talk for other, found in talks.items() if other != name for talk in found]
        speakers = {turn.name for turn in conversation.turns if turn.name}
        pool = [
            question
            for talk in others
            for question in talk.questions
            if kind_of(question) == "answerable" and not any(speaker in question.text for speaker in speakers)
        ]
        chosen = generator.choice(len(pool), min(len(pool), order.foreign // len(own)), replace=False)
        yield conversation, [pool[place] for place in chosen.tolist()]


def ask(target: Target, name: SuiteName, haystack: Haystack, foreign: Sequence[Question]) -> list[Answer]:
    """All questions of a conversation, then those of others."""
    own = [(kind, question) for question in haystack.conversation.questions if (kind := kind_of(question))]
    # A question of another conversation is asked at the end of this one: its own date may lie before all of it.
    ends = max((turn.timestamp for turn in haystack.conversation.turns if turn.timestamp), default=None)

    def put(pair: tuple[Kind, Question]) -> Answer:
        kind, question = pair
        now = ends if kind == "foreign" else question.now
        answer = target.client.recall(question.text, space=haystack.space, k=_K, now=now, explain=True)
        return Answer(
            suite=name,
            kind=kind,
            conversation=haystack.conversation.id,
            question=question.id,
            text=question.text,
            encoder=answer.encoder,
            confidence=answer.confidence,
            no_evidence=answer.no_evidence,
            signals=answer.signals,
        )

    borrowed: list[tuple[Kind, Question]] = [("foreign", question) for question in foreign]
    with ThreadPoolExecutor(_CLIENTS) as pool:
        return list(pool.map(put, [*own, *borrowed]))


def measure(answers: Sequence[Answer], *, seed: int) -> Figures:
    """Figures of what was served, and of every model left out by turns."""
    figures: Figures = {}
    for suite in sorted({answer.suite for answer in answers}):
        told = [answer for answer in answers if answer.suite == suite and answer.confidence is not None]
        figures[f"served.{suite}.n.silent"] = sum(answer.suite == suite for answer in answers) - len(told)
        confidence = np.array([answer.confidence for answer in told], np.float64)
        # `no_evidence` stands for a relevance below the least one.
        judged = Judged(
            tuple(answer.kind for answer in told), confidence, np.array([-float(answer.no_evidence) for answer in told])
        )
        figures |= _figures(f"served.{suite}", judged, -0.5, seed=seed)
    rows = asked(answers)
    for model in NEEDED:
        for suite_name, (judged, least) in leave_one_out(rows, model).items():
            figures |= _figures(f"{model}.left_out.{suite_name}", judged, least, seed=seed)
    return figures


def asked(answers: Sequence[Answer]) -> list[Asked]:
    """The answers as calibration takes them."""
    return [Asked(answer.suite, answer.kind, answer.signals) for answer in answers if answer.signals]


def write_calibration(path: Path, answers: Sequence[Answer]) -> None:
    """A `confidence.json` of these answers."""
    encoders = sorted({answer.encoder for answer in answers})
    found = calibrate(asked(answers), encoders=encoders)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def write(folder: Path, answers: Sequence[Answer], figures: Figures) -> None:
    """`questions.jsonl`, `summary.json` and `report.md`."""
    lines = [json.dumps(asdict(answer), ensure_ascii=False) for answer in answers]
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    report.write_json(folder, figures)
    rows = [(f"`{name}`", report.figure(value)) for name, value in figures.items()]
    text = f"# Abstention\n\n{EXPLANATION}\n\n{report.table(('key', 'value'), rows)}\n"
    (folder / "report.md").write_text(text, encoding="utf-8")


def _figures(key: str, judged: Judged, least: float, *, seed: int) -> Figures:
    answerable, unanswerable = judged.of("answerable"), judged.of("unanswerable")
    low, high = auroc_interval(answerable, unanswerable, seed=seed)
    is_own = np.array([kind != "foreign" for kind in judged.kinds], np.bool_)
    is_answerable = np.array([kind == "answerable" for kind in judged.kinds], np.bool_)
    return {
        f"{key}.auroc": auroc(answerable, unanswerable),
        f"{key}.auroc.ci95_low": low,
        f"{key}.auroc.ci95_high": high,
        f"{key}.auroc_foreign": auroc(answerable, judged.of("foreign")),
        f"{key}.ece": calibration_error(judged.confidence[is_own], is_answerable[is_own]),
        f"{key}.ece_with_foreign": calibration_error(judged.confidence, is_answerable),
        **{f"{key}.flagged.{kind}": judged.flagged(kind, least) for kind in KINDS},
        **{f"{key}.n.{kind}": len(judged.of(kind)) for kind in KINDS},
    }


def _settings(order: Order) -> Figures:
    return {
        "sets": ",".join(order.names),
        "limit": order.limit,
        "foreign": order.foreign,
        "consolidated": str(order.consolidated).lower(),
        "seed": order.seed,
    }
