"""What lies in the outbox is what was put, and small."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from daemon.ledger import Entries, Event, Ledger
from daemon.ledger.events import pack, unpack

from .content import kept

EVENTS = st.lists(st.tuples(st.text(), st.none() | st.binary(), st.binary()))


def record(number: int) -> Event:
    """As `daemon/records.py` makes them of the members of a list."""
    value = (
        b'{"v":1,"job":"j-1","message":"j-1/%d","tenant":"default","to":"1300017%04d","state":'
        b'"delivered","final":true,"cause":"delivered","code":"DELIVRD","stage":"report","carrier":'
        b'"unicom","account":"unicom","node":"unicom-1","parts":1,"bill_units":1,"attempts":1}'
    ) % (number, number)
    return ("sms.reports", b"j-1", value)


@given(events=EVENTS)
def test_what_was_packed_comes_back(events: list[Event]) -> None:
    assert unpack(pack(events)) == events


@given(events=EVENTS)
def test_what_an_older_version_kept_comes_back(events: list[Event]) -> None:
    assert unpack(msgspec.msgpack.encode(events)) == events


async def test_records_of_a_list_take_a_fifth_of_their_octets_in_the_file(ledger: Ledger) -> None:
    events = [record(number) for number in range(999)]
    await kept(ledger, Entries(events=events))
    with closing(sqlite3.connect(ledger.path)) as db:
        ((size,),) = db.execute("select length(events) from outbox").fetchall()
    assert 0 < size < sum(len(value) for _, _, value in events) / 5
    assert await ledger.outbox(0, 9) == [(1, events)]
