"""The loaders on the real data, where it is present: counts that a change must not move unnoticed."""

import os
from pathlib import Path

import pytest

from evals import suites
from evals.corpus import SuiteName, count

_BESIDE = Path(__file__).parents[2].parent / "shared" / "data"
DATA = Path(os.environ.get("MEMSVC_EVAL_DATA") or _BESIDE)
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no evaluation data at {DATA}; set MEMSVC_EVAL_DATA to a folder that has it"
)


@pytest.mark.parametrize(
    ("suite", "path", "expected"),
    [
        # conversations, turns, questions, asked, gold turns, malformed
        ("locomo", "locomo/locomo.json", (6, 3435, 1157, 1155, 1587, 4)),
        ("beam", "beam_100K", (10, 2432, 200, 179, 559, 0)),
        ("longmemeval", "longmemeval/s_instances.json", (4, 1768, 4, 4, 8, 0)),
        ("longmemeval", "longmemeval/oracle_subset.json", (14, 658, 14, 0, 0, 0)),
        ("longmemeval", "longmemeval", (1, 2689, 253, 167, 325, 0)),
    ],
)
def test_counts(suite: SuiteName, path: str, expected: tuple[int, ...]) -> None:
    if not (DATA / path).exists():
        pytest.skip(f"{path} is not in {DATA}")
    totals = count(suites.load(suite, DATA / path).conversations())
    found = (totals.conversations, totals.turns, totals.questions, totals.asked, totals.gold_turns, totals.malformed)
    assert found == expected


def test_no_planning_marker_is_left_in_user_turns() -> None:
    if not (DATA / "beam_100K").exists():
        pytest.skip(f"beam_100K is not in {DATA}")
    turns = [turn for item in suites.load("beam", DATA / "beam_100K").conversations() for turn in item.turns]
    assert not [turn.id for turn in turns if turn.role == "user" and "->->" in turn.content]
