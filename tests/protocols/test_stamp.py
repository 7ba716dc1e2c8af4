"""Times as they stand on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import stamp
from protocols.errors import EncodeError
from protocols.session import BEIJING


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("moment", "zone", "text"),
    [
        ("2026-11-23T10:15:30.9+08:00", BEIJING, "261123101530032+"),
        ("2026-11-23T02:15:30+00:00", UTC, "261123021530000+"),
        ("2026-01-01T00:00:00-05:30", timezone(-timedelta(hours=5.5)), "260101000000022-"),
    ],
)
def test_an_absolute_time_says_its_distance_from_utc(
    moment: str, zone: timezone, text: str
) -> None:
    assert stamp.absolute(at(moment), zone) == text
    assert stamp.is_absolute(text)


def test_a_time_that_no_calendar_has_is_refused() -> None:
    with pytest.raises(EncodeError):
        stamp.absolute(1e15, BEIJING)


@given(st.floats(0, 4_000_000_000), st.integers(-48, 48))
def test_what_is_written_is_a_time(moment: float, quarters: int) -> None:
    zone = timezone(timedelta(minutes=15 * quarters))
    assert stamp.is_absolute(stamp.absolute(moment, zone))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "261123101530032",
        "261123101530032*",
        "261323101530032+",
        "261123101530099+",
        "2611231015300a2+",
        "２61123101530032+",
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert not stamp.is_absolute(text)


def test_login_stamps_have_ten_digits_also_in_january() -> None:
    assert stamp.login(datetime(2027, 1, 8, 9, 30, 5, tzinfo=BEIJING)) == "0108093005"


@pytest.mark.parametrize(
    ("text", "yes"),
    [("0108093005", True), ("0229000000", True), ("1301000000", False), ("108093005", False)],
)
def test_login_stamps_are_dates(text: str, yes: bool) -> None:
    assert stamp.is_login(text) is yes


def test_reports_have_minutes() -> None:
    assert stamp.minutes(at("2026-11-22T10:15:59.9+08:00"), BEIJING) == "2611221015"
