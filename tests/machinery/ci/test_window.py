"""The data window moves by calendar months, and nothing else in params.yaml changes."""

from datetime import datetime

import pytest

from machinery.ci import window
from machinery.pipeline.files import UserError

TEXT = """\
# until: here is a comment
ingest:
  source: {until: 3}   # kept
  until: '2013-08-01' # end of the data window
train:
  until: '2013-08-01'
"""


def test_only_the_end_of_the_window_changes() -> None:
    moved = window.moved(TEXT, datetime(2013, 9, 1))
    assert moved == TEXT.replace("until: '2013-08-01' #", "until: '2013-09-01' #")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2013-08-01", "2013-09-01"),
        ("null", "'2013-09-01'"),
        ('"2013-08-01T00:00:00"', '"2013-09-01"'),
    ],
)
def test_the_value_is_written_as_it_was(before: str, after: str) -> None:
    text = "ingest:\n  until: {}  # why\n"
    assert window.moved(text.format(before), datetime(2013, 9, 1)) == text.format(after)


def test_a_moment_within_a_day_is_written_whole() -> None:
    moved = window.moved(TEXT, datetime(2013, 9, 1, 6, 30))
    assert "until: '2013-09-01T06:30:00' #" in moved


@pytest.mark.parametrize(
    ("end", "months", "later"),
    [
        ("2013-08-01", 1, "2013-09-01"),
        ("2013-12-01", 1, "2014-01-01"),
        ("2013-01-30", 1, "2013-02-28"),
        ("2013-01-31", 1, "2013-02-28"),
        ("2013-02-28", 1, "2013-03-31"),
        ("2013-04-30", 1, "2013-05-31"),
        ("2016-02-28", 1, "2016-03-28"),
        ("2016-02-29", 12, "2017-02-28"),
        ("2013-11-30", 15, "2015-02-28"),
    ],
)
def test_months_are_those_of_the_calendar(end: str, months: int, later: str) -> None:
    assert window.later(datetime.fromisoformat(end), months) == datetime.fromisoformat(later)


def test_a_window_that_ends_on_the_31st_stays_at_the_ends_of_months() -> None:
    end, ends = datetime(2013, 1, 31), []
    for _ in range(14):
        end = window.later(end, 1)
        ends.append(end.day)
    assert ends == [28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28, 31]


@pytest.mark.parametrize("text", ["", "ingest: {}\n", "ingest: [1]\n", "train: {until: 1}\n"])
def test_a_file_without_a_window_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"params.yaml has no ingest.until"):
        window.moved(text, datetime(2013, 9, 1))
