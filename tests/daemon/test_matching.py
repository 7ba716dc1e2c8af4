"""What left memory just now, as reports look for it."""

from __future__ import annotations

import pytest

from daemon.jobs import Job as Fields
from daemon.matching import Leaving
from daemon.model import Job, Message, Part
from protocols import ids

TO = "13912345678"


def answered(seq: int, *carrier_ids: bytes, to: str = TO) -> Message:
    """A message with a part for each id."""
    message = Message(Job(seq, Fields("j", (to,), "t"), 0.0, 0.0, ("t", 0, 0), 1), 0, to, None, 1)
    parts = []
    for number, carrier_id in enumerate(carrier_ids, 1):
        part = Part(number)
        part.carrier_ids = (carrier_id,)
        parts.append(part)
    message.parts = tuple(parts)
    return message


@pytest.mark.parametrize("to", [TO, None], ids=["one number", "many numbers"])
def test_a_read_of_reports_goes_once_through_what_left(
    monkeypatch: pytest.MonkeyPatch, to: str | None
) -> None:
    looked = 0
    keys = ids.keys

    def counted(protocol: str, carrier_ids: list[bytes]) -> list[bytes]:
        nonlocal looked
        looked += 1
        return keys(protocol, carrier_ids)

    monkeypatch.setattr(ids, "keys", counted)

    def message(seq: int) -> Message:
        return answered(seq, b"%d" % seq, to=to or str(13900000000 + seq))

    leaving = Leaving([message(seq) for seq in range(100)], "smpp")
    for seq in range(100, 200):
        assert leaving.find((b"unknown",), TO) is None
        assert leaving.alone((b"unknown",)) is None
        added = message(seq)
        leaving.add(added)
        place = added, added.parts[0]
        assert leaving.find((b"%d" % seq,), added.to) == place
        assert leaving.alone((b"%d" % seq,)) == place
    assert looked <= 3 * 200


def test_of_several_parts_that_a_report_may_be_about_its_first_key_tells() -> None:
    message = answered(1, b"16", b"10")
    leaving = Leaving([message], "smpp")
    found, _ = ids.smpp_keys(b"10", "auto")
    assert b"16" in found
    assert leaving.find(found, TO) == (message, message.parts[1])


def test_of_what_left_under_one_key_the_newest_counts() -> None:
    old, new = answered(1, b"5"), answered(2, b"5")
    other = answered(3, b"5", to="13800000000")
    leaving = Leaving([other, new, old], "smpp")
    assert leaving.find((b"5",), TO) == (new, new.parts[0])
    assert leaving.alone((b"5",)) == (other, other.parts[0])
