"""Times at the edge of the calendar are somebody's habit, and stop nothing."""

from __future__ import annotations

import json

import pytest

from daemon.broker.base import Record
from protocols.stamp import is_absolute

from .conftest import MakeDesk
from .desk import START, Terms


@pytest.mark.parametrize("stamp", [START * 1000.0, START * 1e6, -1e15, -0.001])
async def test_a_record_stamped_in_the_wrong_unit_does_not_stop_those_behind_it(
    make_desk: MakeDesk, stamp: float
) -> None:
    desk = await make_desk()
    peer = desk.peer()
    value = json.dumps({"id": "odd", "to": "139123456789999", "text": "hello"}).encode()
    await desk.app.intake.take([Record("sms.jobs", 0, 0, None, value, None, stamp)])
    desk._offset = 1
    await desk.take({"id": "j"})
    assert desk.states("odd/0") == ["rejected"]
    assert await desk.written(peer)


@pytest.mark.parametrize("last", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59+08:00"])
async def test_a_message_that_never_expires_goes_out(make_desk: MakeDesk, last: str) -> None:
    desk = await make_desk(Terms(protocol="smpp"))
    peer = desk.peer()
    await desk.take({"id": "j", "expires_at": last})
    [(_, part, _)] = await desk.written(peer)
    from protocols.stamp import absolute

    assert part.expires_at is None or is_absolute(
        absolute(part.expires_at, desk.app.config.daemon.timezone)
    )
