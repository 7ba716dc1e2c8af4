"""Parts that a protocol without SAR can spell, and some that it cannot."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from protocols.errors import EncodeError
from protocols.part import Coding, Part

_DIGITS = st.text("0123456789", max_size=22)
_MOMENTS = st.none() | st.floats(0, 4_000_000_000)

parts = st.builds(
    Part,
    to=_DIGITS | st.text(max_size=40),
    sender=_DIGITS,
    content=st.binary(max_size=260),
    coding=st.sampled_from(Coding),
    udh=st.booleans(),
    number=st.integers(0, 300),
    total=st.integers(0, 300),
    wants_report=st.booleans(),
    expires_at=_MOMENTS,
    payload=st.sampled_from([False, False, False, True]),
)


def outcome(spelling: Callable[[], bytes]) -> bytes | str:
    """What was written, or why it was not."""
    try:
        return spelling()
    except EncodeError as exc:
        return str(exc)
