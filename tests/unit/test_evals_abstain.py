"""Calibration of confidence, and how well it is measured."""

import json
from pathlib import Path

import numpy as np
import pytest

from evals import abstain
from evals.abstain import Answer, Order
from evals.abstain_fit import Asked, Kind, apply, auroc, auroc_interval, calibrate, calibration_error, leave_one_out
from evals.corpus import Conversation, Question, SuiteName, Turn


def question(name: str, *, kind: str = "single", skip: str | None = None) -> Question:
    return Question(name, f"What about {name}?", kind, () if skip else ("t",), (), skip=skip)


def rows(suite: str, *, shift: float = 0.0, speaker: bool = False) -> list[Asked]:
    generator = np.random.default_rng(len(suite))
    found = []
    kinds: tuple[tuple[Kind, float], ...] = (("answerable", 0.6), ("unanswerable", 0.45), ("foreign", 0.2))
    for kind, level in kinds:
        for _ in range(60):
            value = float(level + shift + generator.normal(0, 0.05))
            signals = {"around_best": value, "around_fifth": value - 0.1, "rare_best": value, "rare_twentieth": 0.3}
            if speaker:
                signals["speaker"] = 0.1 if kind == "answerable" else -0.2
            found.append(Asked(suite, kind, signals))
    return found


def test_auroc_counts_pairs() -> None:
    assert auroc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == (1 + 1 + 1 + 0.5) / 4
    assert np.isnan(auroc(np.array([]), np.array([1.0])))
    low, high = auroc_interval(np.arange(10.0, 20.0), np.arange(0.0, 12.0), seed=1)
    assert low < auroc(np.arange(10.0, 20.0), np.arange(0.0, 12.0)) < high <= 1


def test_calibration_error_is_the_gap_in_each_bin() -> None:
    confidence = np.array([0.05, 0.05, 0.95, 0.95])
    assert calibration_error(confidence, np.array([False, True, True, True])) == pytest.approx(0.25)
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_a_calibration_tells_apart_and_flags_few_of_the_answerable() -> None:
    asked = rows("one") + rows("another", shift=0.03, speaker=True)
    found = calibrate(asked, encoders=["some"])
    assert set(found["models"]) == {"tokens", "vectors"}  # no question has the signals of words alone
    judged = apply(asked, found["models"]["tokens"])
    assert auroc(judged.of("answerable"), judged.of("unanswerable")) > 0.9
    least = found["models"]["tokens"]["least_relevance"]
    assert judged.flagged("answerable", least) <= 0.05
    assert judged.flagged("foreign", least) > 0.9
    means = [float(judged.of(kind).mean()) for kind in ("answerable", "unanswerable", "foreign")]
    assert means == sorted(means, reverse=True)


def test_a_set_that_is_left_out_has_no_part_in_what_judges_it() -> None:
    others = rows("one") + rows("another", shift=0.02)
    first = leave_one_out([*others, *rows("third")], "tokens")["third"]
    moved = leave_one_out([*others, *rows("third", shift=0.2)], "tokens")["third"]
    assert first[1] == moved[1]  # the least relevance is that of the others
    assert float(moved[0].of("answerable").mean()) > float(first[0].of("answerable").mean())
    assert leave_one_out(rows("one"), "tokens") == {}


def test_what_a_question_is_asked_for() -> None:
    assert abstain.kind_of(question("a")) == "answerable"
    assert abstain.kind_of(question("b", kind="adversarial")) == "unanswerable"
    assert abstain.kind_of(question("c", skip="abstention")) == "unanswerable"
    assert abstain.kind_of(question("d", skip="evidence incomplete")) is None


def test_questions_are_borrowed_from_other_conversations() -> None:
    def talk(name: str, speaker: str, *texts: str) -> Conversation:
        return Conversation(name, (Turn("t", "s", "user", "Hi", speaker),), tuple(question(text) for text in texts))

    talks: dict[SuiteName, list[Conversation]] = {
        "locomo": [talk("a", "Ana", "tea", "Bo's boat"), talk("b", "Bo", "figs", "Ana's hat")],
        "beam": [talk("c", "Cy", "soup")],
    }
    order = Order(Path("data"), Path("out"), foreign=4)
    borrowed = {talk.id: {item.id for item in items} for talk, items in abstain.borrow("locomo", talks, order)}
    assert borrowed == {"a": {"figs"}, "b": {"tea"}}  # what names a speaker here may be meant for him
    assert [len(items) for _, items in abstain.borrow("beam", talks, order)] == [4]


def test_the_report_holds_what_was_served_and_what_was_left_out(tmp_path: Path) -> None:
    answers = [
        Answer(
            suite=suite,
            kind=row.kind,
            conversation="a",
            question=str(number),
            text="?",
            encoder="some",
            confidence=row.signals["around_best"],
            no_evidence=row.kind == "foreign",
            signals=row.signals,
        )
        for suite in ("locomo", "beam")
        for number, row in enumerate(rows(suite))
    ]
    figures = abstain.measure(answers, seed=0)
    assert figures["served.locomo.flagged.foreign"] == 1
    assert figures["served.locomo.flagged.answerable"] == 0
    assert figures["served.beam.n.unanswerable"] == 60
    assert float(figures["tokens.left_out.beam.auroc"] or 0) > 0.9
    abstain.write(tmp_path, answers, figures)
    abstain.write_calibration(tmp_path / "confidence.json", answers)
    assert json.loads((tmp_path / "confidence.json").read_text())["encoders"] == ["some"]
    assert len((tmp_path / "questions.jsonl").read_text().splitlines()) == len(answers)
