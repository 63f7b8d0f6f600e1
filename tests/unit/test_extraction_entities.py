"""Names in text, their aliases, and the sentences they stand in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.extraction.entities import find_aliases, find_entities, initials
from memsvc.extraction.sentences import clauses


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("", ()),
        ("nothing at all", ()),
        ("The weather is nice. Great food!", ()),
        ("Caroline met Tom Becker in New York", ("caroline", "tom becker", "new york")),
        ("She works at the University of Leeds", ("university of leeds",)),
        ("We use Postgres 16 and iPhone apps", ("postgres 16", "iphone")),
        ("an LGBTQ group at NASA", ("lgbtq", "nasa")),
        ('He read "the hobbit" twice', ("the hobbit",)),
        ("On Monday, in May 2023 Anna called", ("anna",)),
        ("Zoë and 李明 met Dr. Smith", ("zoe", "李明", "dr. smith")),
        ("Anna's cat, Anna's dog", ("anna",)),
        ("the budget of Project Apollo", ("project apollo",)),
        ("I think I'm OK", ()),
    ],
)
def test_entities(text: str, entities: tuple[str, ...]) -> None:
    assert find_entities(text) == entities


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("I love my dog Oscar.", {"oscar": "caroline's dog oscar"}),
        ("my older sister, Anna, called", {"anna": "caroline's sister anna"}),
        ("My cat is called Luna.", {"luna": "caroline's cat luna"}),
        ("my dog's name is Rex", {"rex": "caroline's dog rex"}),
        ("This is Melanie, or Mel.", {"mel": "melanie"}),
        ("He moved to Los Angeles (LA).", {"la": "los angeles"}),
        ("Call me Caro!", {"caro": "caroline"}),
        ("Anna or Tom will come", {}),
        ("my dog barks", {}),
        ("", {}),
    ],
)
def test_aliases(text: str, aliases: dict[str, str]) -> None:
    assert find_aliases(text, "Caroline") == aliases


def test_initials_leave_out_small_words() -> None:
    assert initials("University of the West Indies") == "uwi"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("I live in Berlin. I work at Siemens.", ["I live in Berlin.", "I work at Siemens."]),
        ("I live in Berlin and I work at Siemens", ["I live in Berlin", "I work at Siemens"]),
        ("My husband and I went to Rome", ["My husband and I went to Rome"]),
        ("Dr. Smith lives at 3.5 Main St. in Leeds", ["Dr. Smith lives at 3.5 Main St. in Leeds"]),
        ('He said "I am tired. I quit" to Tom', ['He said "I am tired. I quit" to Tom']),
        ("When I was ten, I moved", ["When I was ten, I moved"]),
        ("I went to Rome, which was great", ["I went to Rome", ", which was great"]),
        ("- I like tea\n- I like milk", ["I like tea", "I like milk"]),
        ("```\nI live\n```\nI work", ["I work"]),
        ("I met Tom [photo of Tom] today", ["I met Tom", "today"]),
        ("x = 5;\n{a: 1}\n| a | b |\n# Title", []),
    ],
)
def test_clauses(content: str, parts: list[str]) -> None:
    assert [content[clause.start : clause.end] for clause in clauses(content)] == parts


@given(st.text(max_size=400))
def test_clauses_are_in_order_and_not_empty(content: str) -> None:
    cursor = 0
    for clause in clauses(content):
        assert cursor <= clause.start < clause.end <= len(content)
        cursor = clause.end
