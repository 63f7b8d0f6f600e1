"""The ablation against a real service: its recipes are those that the service lists, and it accepts them all."""

import json
from pathlib import Path

from evals import ablate_run, ablate_variants
from evals.ablate_model import ALL
from memsvc.retrieval.own_recipes import ARMS, STAGES
from memsvc.retrieval.recipes import BALANCED, RECIPES

TALK = [
    ("Ines", "I planted a quince tree behind the workshop."),
    ("Tomas", "My kayak needs a new rudder."),
    ("Ines", "The quince has its first leaves."),
    ("Tomas", "The rudder arrived from Bergen yesterday."),
]
QUESTION = {"question": "What arrived from Bergen?", "evidence": ["D1:4"], "category": 4}


def test_every_stage_is_ablated_over_http(tmp_path: Path) -> None:
    turns = [{"speaker": name, "dia_id": f"D1:{n}", "text": text} for n, (name, text) in enumerate(TALK, start=1)]
    conversation = {"session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": turns}
    (tmp_path / "locomo").mkdir()
    sample = {"sample_id": "pair", "conversation": conversation, "qa": [QUESTION]}
    (tmp_path / "locomo" / "one.json").write_text(json.dumps([sample]))

    found = ablate_run.run(ablate_run.Order(tmp_path, tmp_path / "out", ("locomo",)), say=lambda _: None)[0]

    assert found.stages == STAGES
    assert set(found.arms) >= {stage for stages in ARMS.values() for stage in stages}
    weighing = {stage for stage in STAGES if getattr(BALANCED.weights, stage)}
    assert {f"without {stage}" for stage in weighing} <= set(found.kinds)
    assert {f"{stage} alone" for stage in found.arms} <= set(found.kinds)
    assert {f"{stage} beside the arms" for stage in set(STAGES) - set(found.arms)} <= set(found.kinds)
    assert set(RECIPES) <= set(found.kinds)
    assert found.values[ALL][ablate_variants.BASE]["turn.recall@10"] == 1
    assert found.storage.turns == len(TALK)
    assert found.storage.memories >= len(TALK)
    assert "chunks" in found.storage.tables
    assert {"vec", "codes"} <= set(found.storage.columns)
    assert found.degraded == 0
