"""Index terms: what must be found by what."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.text.analysis import analyze, document_text, fold, surface_forms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("She was running to the groups", ["run", "group"]),
        ("I DIDN\u2019T call O'Brien's sister", ["call", "obrien", "sister"]),
        ("Caf\u00e9 na\u00efve STRASSE stra\u00dfe", ["cafe", "naiv", "strass", "strass"]),
        ("the 8th of May, 1,200 runners at 10:30", ["8", "may", "1200", "runner", "10:30", "10", "30"]),
        ("due 2023-05-08", ["due", "2023-05-08", "2023", "05", "08"]),
        ("v2 costs $3.50", ["v2", "cost", "3.50"]),
        ("flask_login", ["flask", "login"]),
        (
            "\u6771\u4eac\u30bf\u30ef\u30fc tower",
            ["\u6771\u4eac", "\u4eac\u30bf", "\u30bf\u30ef", "\u30ef\u30fc", "tower"],
        ),
        ("\u72ac", ["\u72ac"]),
        ("\ud55c\uad6d\uc5b4", ["\ud55c\uad6d", "\uad6d\uc5b4"]),
        ("\u0915\u093f\u0924\u093e\u092c\u0947\u0902", ["\u0915\u093f\u0924\u093e\u092c\u0947\u0902"]),
        ("did you and the ...", []),
        ("", []),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert analyze(text) == terms


def test_a_decomposed_accent_is_the_same_word() -> None:
    assert analyze("cafe\u0301") == analyze("caf\u00e9") == ["cafe"]


def test_hangul_and_kana_stay_whole_characters() -> None:
    assert fold("\uac00\u30ac") == "\uac00\u30ac"


@given(st.text(max_size=60))
def test_any_text_folds_to_terms_without_blanks_or_capitals(text: str) -> None:
    for term in analyze(text):
        assert term
        assert not any(character.isspace() for character in term)
        assert term == term.lower() or not term.isascii()


@given(st.text(max_size=60))
def test_surface_forms_cover_exactly_the_terms(text: str) -> None:
    assert set(surface_forms(text)) == set(analyze(text))


def test_the_surface_is_the_word_as_written() -> None:
    assert surface_forms("Hiking trips, hiked") == {"hike": "hiking", "trip": "trips"}


def test_threads_agree() -> None:
    texts = [f"running {'x' * n}ing cities and relational operators {n}" for n in range(200)]
    expected = [analyze(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(analyze, texts)) == expected


def test_a_name_stands_before_what_is_embedded() -> None:
    assert document_text("I moved.", "Ada") == "Ada: I moved."
    assert document_text("I moved.", None) == "I moved."
