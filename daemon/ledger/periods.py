"""Which archive file a job belongs to: that of the month, or day, in which it was received."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from enum import StrEnum


class Period(StrEnum):
    """How much one archive file holds."""

    MONTH = "month"
    DAY = "day"

    def name_of(self, when: float, zone: tzinfo) -> str:
        """`2026-11` or `2026-11-22`; `when` in seconds since 1970."""
        form = "%Y-%m" if self is Period.MONTH else "%Y-%m-%d"
        return datetime.fromtimestamp(when, zone).strftime(form)


def end_of(name: str, zone: tzinfo) -> float:
    """When the period called `name` is over; raises ValueError when it is no such name."""
    year, month, *days = (int(number) for number in name.split("-"))
    if days:
        after = datetime(year, month, days[0], tzinfo=zone) + timedelta(days=1)
    else:
        after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    return after.timestamp()
