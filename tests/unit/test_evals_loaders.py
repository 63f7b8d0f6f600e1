"""Loaders: what becomes a turn, what is gold, and what is counted instead of hidden."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from evals_samples import beam_chat, beam_questions, locomo_sample, longmemeval_instance

from evals import beam, corpus, locomo, longmemeval, longmemeval_derived, suites
from evals.corpus import Conversation, DatasetError, Question, Turn, count, limited, stream_array


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_locomo_turns_keep_speaker_time_and_caption() -> None:
    conversation = locomo.read_sample("pair-1", locomo_sample())
    assert [turn.id for turn in conversation.turns] == ["D1:1", "D1:2", "D2:1", "D2:2"]
    assert conversation.turns[2] == Turn(
        id="D2:1",
        session="session_2",
        role="user",
        content="Look! [image: a heron on a jetty]",
        name="Ines",
        timestamp=datetime(2023, 6, 30, 0, 5, tzinfo=UTC),
    )
    assert conversation.turns[1].timestamp == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)


def test_locomo_questions_repair_what_is_unambiguous_and_count_the_rest() -> None:
    questions = locomo.read_sample("pair-1", locomo_sample()).questions
    assert [(item.type, item.gold_turns, item.repaired, item.dropped) for item in questions] == [
        ("single-hop", ("D1:1",), 0, 0),
        ("multi-hop", ("D1:2", "D2:2"), 1, 0),
        ("temporal", ("D2:1",), 1, 0),
        ("open-domain", (), 0, 0),
        ("adversarial", ("D1:1",), 0, 2),
    ]
    assert questions[1].gold_sessions == ("session_1", "session_2")
    assert [item.skip for item in questions] == [None, None, None, "no evidence", None]
    assert [item.headline for item in questions] == [True, True, True, True, False]
    assert questions[0].now == datetime(2023, 6, 30, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("label", "gold"),
    [
        ("D8:6; D9:17", ("D8:6", "D9:17")),
        ("D9:1 D4:4 D4:6", ("D9:1", "D4:4", "D4:6")),
        ("D:11:26", ("D11:26",)),
        ("D30:05", ("D30:5",)),
        ("D", ()),
        ("D8:6; D99:1", ()),
    ],
)
def test_malformed_evidence(label: str, gold: tuple[str, ...]) -> None:
    known = {"D8:6", "D9:17", "D9:1", "D4:4", "D4:6", "D11:26", "D30:5"}
    assert locomo.repair_evidence([label], known) == (gold, int(bool(gold)), int(not gold))


def test_locomo_takes_a_list_or_a_folder_of_single_samples(tmp_path: Path) -> None:
    listed = write(tmp_path / "all.json", [locomo_sample()])
    write(tmp_path / "single" / "a.json", locomo_sample() | {"sample_id": None})
    assert [item.id for item in locomo.load(listed).conversations()] == ["pair-1"]
    assert [item.id for item in locomo.load(tmp_path / "single").conversations()] == ["a-1"]
    with pytest.raises(DatasetError, match="needs `conversation` and `qa`"):
        locomo.load(write(tmp_path / "other.json", [{"question": "?"}]))


def test_beam_strips_the_marker_from_user_turns_alone_and_dates_each_batch() -> None:
    turns = beam.read_chat("1", beam_chat(), beam_questions()).turns
    assert [(turn.id, turn.session, turn.role, turn.content) for turn in turns] == [
        ("0", "batch_1", "user", "Plan my loom."),
        ("1", "batch_1", "assistant", "Start with the warp beam."),
        ("2", "batch_2", "user", "The shed is 9 cm."),
        ("3", "batch_2", "assistant", "Noted; a -> b ->-> c stays."),
    ]
    assert turns[1].timestamp == datetime(2024, 3, 15, tzinfo=UTC)
    assert turns[2].timestamp == datetime(2024, 4, 5, tzinfo=UTC)


def test_beam_reads_labels_of_any_shape() -> None:
    questions = beam.read_chat("1", beam_chat(), beam_questions()).questions
    assert [(item.type, item.gold_turns, item.dropped, item.skip) for item in questions] == [
        ("abstention", (), 0, "abstention"),
        ("knowledge_update", ("0", "2"), 0, None),
        ("information_extraction", ("1",), 1, None),
        ("preference_following", (), 0, "no evidence"),
    ]


@pytest.mark.parametrize("layout", [("", "7"), ("chats", "100K", "7")])
def test_beam_finds_chats_at_any_depth(tmp_path: Path, layout: tuple[str, ...]) -> None:
    official = len(layout) > 2
    for number in ("7", "10"):
        folder = tmp_path.joinpath(*layout[:-1], number)
        write(folder / "chat.json", [{"plan-1": beam_chat()}] if official else beam_chat())
        write(folder / ("probing_questions" if official else "") / "probing_questions.json", beam_questions())
    loaded = suites.load("beam", tmp_path)
    assert [item.id.split("-")[-1] for item in loaded.conversations()] == ["7", "10"]
    assert count(loaded.conversations()).turns == 8
    single = suites.load("beam", tmp_path.joinpath(*layout))
    assert [item.id for item in single.conversations()] == ["7"]


def test_beam_without_questions_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "chat.json", beam_chat())
    with pytest.raises(DatasetError, match=r"no probing_questions\.json"):
        beam.load(tmp_path)


def test_longmemeval_instance() -> None:
    conversation = longmemeval.read_instance(longmemeval_instance())
    question = conversation.questions[0]
    assert [turn.id for turn in conversation.turns] == [
        "other_7_1",
        "other_7_2",
        "answer_a_1_1",
        "answer_a_1_2",
        "answer_a_1_3",
        "answer_a_2_1",
        "answer_a_2_2",
    ]
    assert [turn.official_id for turn in conversation.turns] == [
        "other_7_1",
        None,
        "noans_a_1_1",
        None,
        "answer_a_1_3",
        "noans_a_2_1",
        None,
    ]
    assert question.gold_turns == ("answer_a_1_3", "answer_a_2_2")
    assert question.gold_sessions == ("answer_a_1", "answer_a_2")
    assert question.now == datetime(2023, 5, 30, 23, 40, tzinfo=UTC)
    assert question.skip is None


def test_longmemeval_abstention_missing_gold_and_repeated_sessions() -> None:
    assert longmemeval.read_instance(longmemeval_instance("q_abs")).questions[0].skip == "abstention"
    bare = longmemeval_instance()
    del bare["haystack_session_ids"]
    for session in bare["haystack_sessions"]:
        for turn in session:
            turn.pop("has_answer", None)
    assert longmemeval.read_instance(bare).questions[0].skip == "no evidence"
    twice = longmemeval_instance()
    twice["haystack_session_ids"] = ["other_7", "other_7", "answer_a_2"]
    turns = longmemeval.read_instance(twice).turns
    assert len({turn.id for turn in turns}) == 7
    assert turns[2].official_id == "other_7_1"


def test_longmemeval_broken_instances(tmp_path: Path) -> None:
    uneven = longmemeval_instance() | {"haystack_dates": ["2023/05/20 (Sat) 02:21"]}
    with pytest.raises(DatasetError, match="differ in number"):
        longmemeval.read_instance(uneven)
    with pytest.raises(DatasetError, match="has no 'question_id'"):
        longmemeval.read_instance({"question": "?"})
    with pytest.raises(DatasetError, match=r"no \*\.json file"):
        longmemeval.load(tmp_path)


def test_longmemeval_names_a_published_file_and_numbers_repeated_instances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "s.json", [longmemeval_instance(), longmemeval_instance()])
    loaded = longmemeval.load(path)
    assert loaded.official
    assert loaded.label == "LongMemEval schema, file not recognised"
    assert [item.id for item in loaded.conversations()] == ["q1", "q1.2"]
    monkeypatch.setattr(longmemeval, "PUBLISHED", {loaded.digest: "LongMemEval-X"})
    assert longmemeval.load(path).label == "LongMemEval-X"


def derived_pool() -> Conversation:
    said = "I finally bought the flugelhorn that I had been looking at since March."
    questions = [
        {"question_id": "a", "question_type": "single-session-user", "question": "Which horn?", "abstention": False},
        {"question_id": "b", "question_type": "single-session-user", "question": "Which tuba?", "abstention": True},
        {"question_id": "c", "question_type": "multi-session", "question": "How many?", "abstention": False},
        {"question_id": "d", "question_type": "single-session-assistant", "question": "Whose?", "abstention": False},
    ]
    evidence: dict[str, dict[str, Any]] = {
        "a": {
            "question_id": "a",
            "coverage_tier": "C_covered",
            "answer_session_ids": ["answer_1"],
            "evidence_turns": [{"session_id": "answer_1", "text": said, "n_rankers": 3}],
            "evidence_turns_dated": [
                {"date": "2023/05/21 (Sun) 11:54", "role": "user", "text": said},
                {"date": "2023/05/21 (Sun) 11:54", "role": "assistant", "text": "Congratulations!"},
            ],
            "evidence_sessions_complete": {},
        },
        "c": {"question_id": "c", "coverage_tier": "D_partial"},
        "d": {
            "question_id": "d",
            "question_type": "single-session-assistant",
            "coverage_tier": "B_verbatim",
            "evidence_turns": [
                {"session_id": "answer_2", "text": "It was built by Pell & Daughter.", "n_rankers": 4},
                {"session_id": "answer_2", "text": "Who built it?", "n_rankers": 1},
            ],
        },
    }
    distractors = [
        {
            "session_id": "chat_1",
            "dates": ["2023/05/20 (Sat) 02:21"],
            "turns": [{"role": "user", "content": "Bake bread"}, {"role": "assistant", "content": "Congratulations!"}],
        }
    ]
    return longmemeval_derived.build_pool(questions, evidence, distractors)


def test_derived_pool_holds_distractors_and_evidence_once() -> None:
    pool = derived_pool()
    assert [(turn.id, turn.role) for turn in pool.turns] == [
        ("chat_1_1", "user"),
        ("chat_1_2", "assistant"),
        ("answer_1_1", "user"),
        ("answer_1_2", "assistant"),
        ("answer_2_1", "assistant"),
        ("answer_2_2", "user"),
    ]
    assert pool.turns[2].timestamp == datetime(2023, 5, 21, 11, 54, tzinfo=UTC)
    assert pool.turns[4].timestamp is None
    assert [(item.gold_turns, item.gold_sessions, item.skip) for item in pool.questions] == [
        (("answer_1_1",), ("answer_1",), None),
        ((), (), "abstention"),
        ((), (), "evidence incomplete"),
        (("answer_2_1", "answer_2_2"), ("answer_2",), None),
    ]


def test_derived_layout_is_recognised_and_labelled(tmp_path: Path) -> None:
    for name in longmemeval_derived.FILES:
        (tmp_path / name).write_text("")
    loaded = longmemeval.load(tmp_path)
    assert loaded.label == "LongMemEval-derived"
    assert not loaded.official


def test_counting_and_duplicate_ids() -> None:
    totals = count(iter([locomo.read_sample("pair-1", locomo_sample())]))
    assert (totals.conversations, totals.turns, totals.sessions, totals.questions) == (1, 4, 2, 5)
    assert (totals.gold_turns, totals.malformed, totals.asked, totals.skipped) == (5, 4, 4, {"no evidence": 1})
    turn = Turn("x", "s", "user", "words")
    with pytest.raises(DatasetError, match="same id"):
        count(iter([Conversation("c", (turn, turn), ())]))


def test_limit_counts_what_is_asked_and_keeps_whole_haystacks() -> None:
    def question(name: str, skip: str | None = None) -> Question:
        return Question(name, name, "t", (), (), skip=skip)

    turn = Turn("x", "s", "user", "words")
    first = Conversation("1", (turn,), (question("a", "no evidence"), question("b")))
    second = Conversation("2", (turn,), (question("c"), question("d")))
    both = [first, second]
    kept = [[item.id for item in found.questions] for found in limited(iter(both), 2)]
    assert kept == [["a", "b"], ["c"]]
    assert list(limited(iter(both), None)) == both
    assert [found.id for found in limited(iter(both), 1)] == ["1"]


def test_a_json_list_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_READ_CHARS", 7)
    items = [{"text": "ä" * 40, "n": 1}, {"list": [{}, "]"]}, {}]
    path = write(tmp_path / "list.json", items)
    assert list(stream_array(path)) == items
    assert list(stream_array(write(tmp_path / "empty.json", []))) == []
    path.write_text('[{"a": 1}, {"b"')
    with pytest.raises(DatasetError, match="ends early"):
        list(stream_array(path))
    for content, message in (("{}", "not a JSON list"), ("[3]", "not an object")):
        path.write_text(content)
        with pytest.raises(DatasetError, match=message):
            list(stream_array(path))


def test_a_missing_path_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        suites.load("locomo", tmp_path / "absent")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DatasetError, match=r"broken\.json"):
        suites.load("locomo", tmp_path / "broken.json")
