"""Times named in a clause, resolved against when it was said."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.extraction.times import find_times

MONDAY = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)


def rewritten(text: str, at: datetime | None = MONDAY) -> str:
    for mention in reversed(find_times(text, at)):
        text = text[: mention.start] + mention.text + text[mention.end :]
    return text


@pytest.mark.parametrize(
    ("text", "absolute", "first", "end"),
    [
        ("went today", "went on 8 May 2023", "2023-05-08", "2023-05-09"),
        ("went yesterday", "went on 7 May 2023", "2023-05-07", "2023-05-08"),
        ("the day before yesterday we met", "on 6 May 2023 we met", "2023-05-06", "2023-05-07"),
        ("come tomorrow", "come on 9 May 2023", "2023-05-09", "2023-05-10"),
        ("the day after tomorrow", "on 10 May 2023", "2023-05-10", "2023-05-11"),
        ("ran this morning", "ran on the morning of 8 May 2023", "2023-05-08", "2023-05-09"),
        ("cook tonight", "cook on the evening of 8 May 2023", "2023-05-08", "2023-05-09"),
        ("slept last night", "slept on the night of 7 May 2023", "2023-05-07", "2023-05-08"),
        ("met yesterday evening", "met on the evening of 7 May 2023", "2023-05-07", "2023-05-08"),
        ("three days ago", "on 5 May 2023", "2023-05-05", "2023-05-06"),
        ("a few days ago", "around 5 May 2023", "2023-05-03", "2023-05-08"),
        ("two weeks ago", "in the week of 24 April 2023", "2023-04-24", "2023-05-01"),
        ("a month ago", "in April 2023", "2023-04-01", "2023-05-01"),
        ("two years ago", "in 2021", "2021-01-01", "2022-01-01"),
        ("a few years ago", "around 2020", "2019-01-01", "2022-01-01"),
        ("last week", "in the week of 1 May 2023", "2023-05-01", "2023-05-08"),
        ("this week", "in the week of 8 May 2023", "2023-05-08", "2023-05-15"),
        ("next week", "in the week of 15 May 2023", "2023-05-15", "2023-05-22"),
        ("last weekend", "on the weekend of 6 May 2023", "2023-05-06", "2023-05-08"),
        ("over the weekend", "on the weekend of 6 May 2023", "2023-05-06", "2023-05-08"),
        ("will hike this weekend", "will hike on the weekend of 13 May 2023", "2023-05-13", "2023-05-15"),
        ("last month", "in April 2023", "2023-04-01", "2023-05-01"),
        ("next month", "in June 2023", "2023-06-01", "2023-07-01"),
        ("last year", "in 2022", "2022-01-01", "2023-01-01"),
        ("last summer", "in summer 2022", "2022-06-01", "2022-09-01"),
        ("next winter", "in winter 2023", "2023-12-01", "2024-03-01"),
        ("last Friday", "on 5 May 2023", "2023-05-05", "2023-05-06"),
        ("last Wed", "on 3 May 2023", "2023-05-03", "2023-05-04"),
        ("next Friday", "on 12 May 2023", "2023-05-12", "2023-05-13"),
        ("by next Friday", "by 12 May 2023", "2023-05-12", "2023-05-13"),
        ("last Monday", "on 1 May 2023", "2023-05-01", "2023-05-02"),
        ("went on Friday", "went on 5 May 2023", "2023-05-05", "2023-05-06"),
        ("will go on Friday", "will go on 12 May 2023", "2023-05-12", "2023-05-13"),
        ("was moved to Thursday", "was moved to 11 May 2023", "2023-05-11", "2023-05-12"),
        ("in two weeks", "in the week of 22 May 2023", "2023-05-22", "2023-05-29"),
        ("three days from now", "on 11 May 2023", "2023-05-11", "2023-05-12"),
        ("in a year", "in 2024", "2024-01-01", "2025-01-01"),
        ("since last week", "since the week of 1 May 2023", "2023-05-01", "2023-05-08"),
        ("until tomorrow", "until 9 May 2023", "2023-05-09", "2023-05-10"),
        ("met in May", "met in May 2023", "2023-05-01", "2023-06-01"),
        ("met in December", "met in December 2022", "2022-12-01", "2023-01-01"),
        ("met on 7 May 2021", "met on 7 May 2021", "2021-05-07", "2021-05-08"),
        ("met on April 20th", "met on 20 April 2023", "2023-04-20", "2023-04-21"),
        ("will meet on June 3", "will meet on 3 June 2023", "2023-06-03", "2023-06-04"),
        ("met on 2021-05-07", "met on 7 May 2021", "2021-05-07", "2021-05-08"),
        ("since 2016", "since 2016", "2016-01-01", "2023-05-08"),
        ("in 2016", "in 2016", "2016-01-01", "2017-01-01"),
        ("in June 2016", "in June 2016", "2016-06-01", "2016-07-01"),
        ("have worked for 5 years", "have worked for 5 years (since about 2018)", "2018-01-01", "2023-05-08"),
        ("in the past two weeks", "in the 2 weeks before 8 May 2023", "2023-04-24", "2023-05-09"),
    ],
)
def test_mentions(text: str, absolute: str, first: str, end: str) -> None:
    (mention,) = find_times(text, MONDAY)
    assert rewritten(text) == absolute
    assert (str(mention.interval.first.date()), str(mention.interval.end.date())) == (first, end)


@pytest.mark.parametrize(
    ("text", "first", "precision"),
    [
        ("tomorrow at 3pm", datetime(2023, 5, 9, 15, tzinfo=UTC), "instant"),
        ("tomorrow at 9:30", datetime(2023, 5, 9, 9, 30, tzinfo=UTC), "instant"),
        ("at 12 am on May 9", datetime(2023, 5, 9, 0, tzinfo=UTC), "instant"),
        ("tomorrow at 3", datetime(2023, 5, 9, tzinfo=UTC), "day"),
        ("tomorrow at 25:30", datetime(2023, 5, 9, tzinfo=UTC), "day"),
        ("last month", datetime(2023, 4, 1, tzinfo=UTC), "month"),
        ("last year", datetime(2022, 1, 1, tzinfo=UTC), "year"),
    ],
)
def test_precision(text: str, first: datetime, precision: str) -> None:
    (mention,) = find_times(text, MONDAY)
    assert (mention.interval.first, mention.interval.precision) == (first, precision)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "that may march on",
        "I may 5 times",
        "every Friday",
        "slept for ten hours",
        "walked for 5 years",
        "31 June",
        "my birthday is on 3 June",
        "room 2045",
        "the last year of college",
        "someday",
        "999 years ago",
    ],
)
def test_no_time_to_resolve(text: str) -> None:
    assert find_times(text, datetime(500, 6, 1, tzinfo=UTC)) == []


def test_without_a_moment_only_what_names_its_year() -> None:
    text = "yesterday, last week, in June, on 7 May 2021"
    assert rewritten(text, None) == text
    assert [str(mention.interval.first.date()) for mention in find_times(text, None)] == ["2021-05-07"]


def test_the_day_is_that_of_the_zone() -> None:
    late = datetime(2023, 5, 8, 23, 30, tzinfo=ZoneInfo("America/New_York"))
    (mention,) = find_times("today", late)
    assert mention.text == "on 8 May 2023"
    assert mention.interval.first == datetime(2023, 5, 8, 4, 0, tzinfo=UTC)
    assert mention.interval.end - mention.interval.first == timedelta(days=1)


MOMENTS = st.datetimes(timezones=st.just(UTC))
PIECES = "last next this in for 5 two years weeks ago May 31 2023 Friday weekend summer since tomorrow at 9:30 pm"
TEXTS = st.lists(st.sampled_from(PIECES.split()), max_size=12).map(" ".join)


@given(TEXTS, MOMENTS)
def test_mentions_are_in_order_within_the_text_and_not_empty(text: str, at: datetime) -> None:
    cursor = 0
    for mention in find_times(text, at):
        assert cursor <= mention.start < mention.end <= len(text)
        assert mention.text.strip()
        assert mention.interval.first < mention.interval.end
        cursor = mention.end
