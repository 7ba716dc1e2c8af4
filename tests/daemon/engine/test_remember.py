"""What the broker gives again although its ids are to be remembered for less than that."""

from __future__ import annotations

import pytest

from .conftest import MakeGroup

TO = "13912345679"


@pytest.mark.parametrize("taker", ["the same", "another"])
async def test_a_finished_job_behind_a_record_in_doubt_is_not_sent_again(
    make_group: MakeGroup, taker: str
) -> None:
    group = make_group(then="wait")
    group.text = group.text.replace('name = "desk"', 'name = "desk"\nremember_ids = 60')
    a = await group.make()
    b = await group.make() if taker == "another" else None
    await group.assign(*([0], []) if b else [[0]])
    peer = a.peer()
    await group.job(id="doubt")
    [_] = await a.written(peer)
    peer.silence()  # in doubt: it holds the offset until `report_within`
    await group.job(id="j", report=False, to=TO)
    [(sequence, _, _)] = await a.written(peer)
    peer.accepts(sequence)
    await group.pass_(120.0)
    assert group.states("j/0") == ["accepted"]
    assert group.committed() == 0
    state = await group.kill(a)
    b = b or await group.make(state)
    await group.assign([0])
    again = b.peer()
    await group.pass_(1.0)
    assert await b.written(again, most=0.3) == []
    assert group.states("j/0") == ["accepted"]
    await group.job(id="j", report=False, to=TO)  # another record: by now the id is free
    [_] = await b.written(again)
