"""Submits to several recipients at simulated gateways."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols import ids
from protocols.events import Accepted, Rejected, Reported

from .conftest import Make
from .sp import bound, client, part, until

PROTOCOLS = ("cmpp", "sgip", "smgp", "smpp")
BAD_NUMBER = {"cmpp": 13, "sgip": 12, "smgp": 47, "smpp": 0x0B}
NUMBERS = tuple(f"139{number:08}" for number in range(40))

every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
LIST = replace(part(1, NUMBERS[0]), also=NUMBERS[1:])


@every_protocol
async def test_every_recipient_of_a_list_is_counted_and_reported(make: Make, protocol: str) -> None:
    gateway, node = await make(protocol, limit=40)
    sp = await bound(client(protocol), gateway.port)
    sp.submit(LIST)
    (answer,) = await sp.got(Accepted)
    reports = await sp.got(Reported, 40)
    assert sorted(report.to.removeprefix("86") for report in reports) == list(NUMBERS)
    for report in reports:
        place = NUMBERS.index(report.to.removeprefix("86"))
        [mine] = ids.list_keys(protocol, answer.carrier_id, [place])
        assert report.keys[0] == mine[0]
    counts = node.counts
    assert (counts.submits, counts.accepted, counts.parts) == (1, 1, 40)
    assert node.meter.peak == 40
    sp.submit(part(2))
    assert len(await sp.got(Rejected)) == 1, "all forty count for the limit"


@pytest.mark.parametrize("protocol", ["cmpp", "smgp"])
async def test_a_gateway_may_have_one_id_for_all_of_a_list(make: Make, protocol: str) -> None:
    gateway, _ = await make(protocol)
    gateway.bend({"same_id": True})
    sp = await bound(client(protocol), gateway.port)
    sp.submit(LIST)
    (answer,) = await sp.got(Accepted)
    reports = await sp.got(Reported, 40)
    assert {report.keys for report in reports} == {(answer.carrier_id,)}


@every_protocol
async def test_a_bad_number_is_refused_each_time_and_takes_its_list_along(
    make: Make, protocol: str
) -> None:
    gateway, node = await make(protocol, bad_numbers=0.2)
    sp = await bound(client(protocol), gateway.port)
    sp.submit(*[part(1, to) for to in NUMBERS])
    await until(lambda: len(sp.of(Rejected)) + len(sp.of(Reported)) == 40)
    alone = sp.of(Rejected)
    assert {event.status for event in alone} == {BAD_NUMBER[protocol]}
    bad = {event.tag.to for event in alone}
    assert 2 <= len(bad) <= 16
    assert node.counts.parts == 40 - len(bad)
    sp.submit(LIST)
    if protocol == "smpp":
        answer = (await sp.got(Accepted, 41 - len(bad)))[-1]
        assert {refused.to for refused in answer.refused} == bad
        assert {refused.status for refused in answer.refused} == {BAD_NUMBER[protocol]}
        await sp.got(Reported, 2 * (40 - len(bad)))
    else:
        refusal = (await sp.got(Rejected, len(bad) + 1))[-1]
        assert (refusal.tag, refusal.status) == (LIST, BAD_NUMBER[protocol])
    assert node.counts.submits == 41
