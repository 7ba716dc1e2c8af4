"""Simulated gateways with the project's own client sessions, over real sockets."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest

from daemon.sim import inbound
from daemon.sim.account import Account, Delivery, Node
from daemon.sim.behaviour import Behaviour
from daemon.sim.gateway import SimGateway
from protocols import ids
from protocols.events import (
    Accepted,
    BindRefused,
    Bound,
    Closed,
    Fate,
    Received,
    Rejected,
    Reported,
)
from protocols.part import Coding, Part

from .conftest import Make
from .sp import bound, client, connect, part, until

PROTOCOLS = ("cmpp", "sgip", "smgp", "smpp")
THROTTLED = {"cmpp": 8, "sgip": 88, "smgp": 1, "smpp": 0x58}
WRONG_SECRET = {"cmpp": 3, "sgip": 1, "smgp": 21, "smpp": 0x0E}
BUSY = {"cmpp": 5, "sgip": 11, "smgp": 1, "smpp": 0x0D}
FULL = {"cmpp": 56, "sgip": 3, "smgp": 2, "smpp": 0x05}

every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def deliver(gateway: SimGateway, node: Node, text: str, sender: str = "13912345678") -> None:
    made = inbound.parts(gateway.protocol, sender, "106512", text)
    gateway.deliver([Delivery(node, one) for one in made])


# In order


@every_protocol
async def test_more_than_a_gateway_works_off_waits_for_its_turn(make: Make, protocol: str) -> None:
    gateway, node = await make(protocol, capacity=100, delay=0.01)
    sp = await bound(client(protocol), gateway.port)
    began = sp.loop.time()
    sp.submit(*(part(n) for n in range(20)))
    await sp.got(Accepted, 20)
    await sp.got(Reported, 20)
    assert sp.loop.time() - began >= 0.2
    assert len(sp.of(Rejected)) == 0
    assert node.turn(sp.loop.time() + 60.0) == pytest.approx(0.01)


@every_protocol
async def test_a_submit_is_answered_and_its_report_quotes_the_answer(
    make: Make, protocol: str
) -> None:
    gateway, node = await make(protocol)
    sp = await bound(client(protocol), gateway.port)
    sp.submit(part(1))
    (answer,) = await sp.got(Accepted)
    (report,) = await sp.got(Reported)
    assert ids.key(protocol, answer.carrier_id) in report.keys
    assert report.fate is Fate.DELIVERED
    assert report.code == ("0" if protocol == "sgip" else "DELIVRD")
    assert report.to.removeprefix("86") == part(1).to
    await until(lambda: node.counts.reports_taken == 1)
    counts = node.counts
    assert (counts.logins, counts.submits, counts.parts) == (1, 1, 1)
    assert (counts.accepted, counts.answered, counts.twice) == (1, 1, 0)
    assert not counts.faults
    assert node.submits[0].content == part(1).content


@every_protocol
async def test_ids_of_many_submits_are_all_different(make: Make, protocol: str) -> None:
    gateway, node = await make(protocol)
    sp = await bound(client(protocol), gateway.port)
    for start in range(0, 256, 64):
        sp.submit(*[part(n) for n in range(start, start + 64)])
        await sp.got(Accepted, start + 64)
    reports = await sp.got(Reported, 256)
    assert len({answer.carrier_id for answer in sp.of(Accepted)}) == 256
    assert {report.keys[0] for report in reports} == {
        ids.key(protocol, answer.carrier_id) for answer in sp.of(Accepted)
    }
    assert node.counts.window_peak == 64


@every_protocol
async def test_a_wrong_secret_is_refused(make: Make, protocol: str) -> None:
    gateway, node = await make(protocol)
    sp = await connect(client(protocol, secret="wrong"), gateway.port)
    (refused,) = await sp.got(BindRefused)
    assert (refused.status, refused.retry) == (WRONG_SECRET[protocol], False)
    await until(lambda: gateway.connections == 0)
    assert (node.counts.logins, node.counts.logins_refused) == (0, 1)


@every_protocol
async def test_logins_are_refused_on_command(make: Make, protocol: str) -> None:
    gateway, node = await make(protocol, refuse_logins=True)
    sp = await connect(client(protocol), gateway.port)
    (refused,) = await sp.got(BindRefused)
    assert (refused.status, refused.retry) == (BUSY[protocol], True)
    gateway.change(node, {"refuse_logins": 5})
    (refused,) = await (await connect(client(protocol), gateway.port)).got(BindRefused)
    assert refused.status == 5
    gateway.change(node, {"refuse_logins": False})
    await bound(client(protocol), gateway.port)


@every_protocol
async def test_more_connections_than_allowed_are_refused(make: Make, protocol: str) -> None:
    gateway, _ = await make(protocol, max_connections=2)
    first = await bound(client(protocol), gateway.port)
    await bound(client(protocol), gateway.port)
    third = await connect(client(protocol), gateway.port)
    (refused,) = await third.got(BindRefused)
    assert (refused.status, refused.retry) == (FULL[protocol], True)
    first.hang_up()
    await until(lambda: gateway.connections == 1)
    await bound(client(protocol), gateway.port)


@every_protocol
async def test_a_throttled_submit_gets_the_protocol_s_own_code(make: Make, protocol: str) -> None:
    gateway, node = await make(protocol, throttle=1.0)
    sp = await bound(client(protocol), gateway.port)
    sp.submit(part(1), part(1))
    rejected = await sp.got(Rejected, 2)
    assert {(one.status, one.throttled) for one in rejected} == {(THROTTLED[protocol], True)}
    counts = node.counts
    assert (counts.throttled, counts.answered, counts.accepted) == (2, 2, 0)
    assert (counts.parts, counts.twice) == (0, 0)


@every_protocol
async def test_a_long_inbound_message_arrives_in_parts_that_join(make: Make, protocol: str) -> None:
    gateway, node = await make(protocol)
    sp = await bound(client(protocol), gateway.port)
    text = "上海市民👍来电" * 30
    deliver(gateway, node, text)
    events = await sp.got(Received, 4)
    assert {(event.sender.removeprefix("86"), event.to) for event in events} == {
        ("13912345678", "106512")
    }
    assert all(event.udh for event in events)
    contents = [event.content[6:] for event in sorted(events, key=lambda e: e.content[5])]
    assert b"".join(contents).decode("utf-16-be") == text
    await until(lambda: node.counts.inbound_taken == 4)
    assert len({event.identity for event in events}) == 4


@every_protocol
async def test_the_client_s_farewell_is_answered(make: Make, protocol: str) -> None:
    gateway, node = await make(protocol)
    sp = await bound(client(protocol), gateway.port)
    sp.farewell()
    (closed,) = await sp.got(Closed)
    assert not closed.error
    await until(lambda: gateway.connections == 0)
    assert node.counts.closed_in_error == 0


@every_protocol
async def test_the_gateway_says_goodbye_on_command(make: Make, protocol: str) -> None:
    gateway, node = await make(protocol)
    sp = await bound(client(protocol), gateway.port)
    gateway.farewell(node)
    (closed,) = await sp.got(Closed)
    assert not closed.error
    await until(lambda: gateway.connections == 0)


@every_protocol
async def test_a_submit_that_is_out_of_order_is_refused_and_counted_by_reason(
    make: Make, protocol: str
) -> None:
    gateway, node = await make(protocol)
    sp = await bound(client(protocol), gateway.port)
    sp.submit(Part("13912345678", "95555", b"\0a", Coding.UCS2))  # not the account's number
    sp.submit(Part("13912345678", "1065", b"\0a\0", Coding.UCS2))  # half a character
    assert len(await sp.got(Rejected, 2)) == 2
    assert (node.counts.refused, node.counts.accepted) == (2, 0)
    assert sum(node.counts.faults.values()) == 2
    assert len(node.counts.faults) == 2


# Answers


async def test_throttled_and_refused_shares_are_exact_for_a_seed(make: Make) -> None:
    outcomes = []
    for _ in range(2):
        gateway, node = await make(seed=42, throttle=0.3, refuse=0.2, refuse_status=9)
        sp = await bound(client(window=200), gateway.port)
        sp.submit(*[part(n) for n in range(200)])
        await until(lambda sp=sp: len(sp.of(Accepted)) + len(sp.of(Rejected)) == 200)  # type: ignore[misc]
        statuses = Counter(one.status for one in sp.of(Rejected))
        assert (statuses[8], statuses[9]) == (node.counts.throttled, node.counts.refused)
        assert 40 < statuses[8] < 80
        assert 20 < statuses[9] < 60
        outcomes.append([one.tag.to for one in sp.of(Rejected)])
    assert outcomes[0] == outcomes[1]


async def test_a_limit_lets_that_many_through_per_second(make: Make) -> None:
    gateway, node = await make(limit=10)
    sp = await bound(client(), gateway.port)
    sp.submit(*[part(n) for n in range(30)])
    assert len(await sp.got(Rejected, 20)) == 20
    assert len(sp.of(Accepted)) == 10
    assert node.meter.peak == 30


async def test_swallowed_submits_reached_and_nothing_more_comes_of_them(make: Make) -> None:
    gateway, node = await make(loss=1.0)
    sp = await bound(client(), gateway.port)
    sp.submit(part(1), part(2))
    await until(lambda: node.counts.swallowed == 2)
    gateway.change(node, {"loss": 0.0})
    sp.submit(part(3))
    await sp.got(Reported)
    assert [answer.tag for answer in sp.of(Accepted)] == [part(3)]
    assert (node.counts.parts, node.account.reached.distinct) == (3, 3)


async def test_a_dropped_answer_is_reported_all_the_same(make: Make) -> None:
    gateway, node = await make(drop_answers=1.0)
    sp = await bound(client(), gateway.port)
    sp.submit(part(1))
    (report,) = await sp.got(Reported)
    assert report.to == part(1).to
    assert sp.of(Accepted) == []
    assert (node.counts.accepted, node.counts.dropped, node.counts.answered) == (1, 1, 0)


async def test_answers_wait_for_their_delay_and_reports_for_theirs(make: Make) -> None:
    gateway, _ = await make(delay=0.03, report_delay=0.05)
    sp = await bound(client(), gateway.port)
    loop = asyncio.get_running_loop()
    at = loop.time()
    sp.submit(part(1))
    await sp.got(Accepted)
    answered = loop.time() - at
    await sp.got(Reported)
    assert 0.029 <= answered < 1.0  # uvloop's clock has milliseconds
    assert 0.078 <= loop.time() - at < 2.0


async def test_answers_that_are_due_together_leave_in_random_order(make: Make) -> None:
    gateway, _ = await make(seed=1, reorder=True)
    sp = await bound(client(), gateway.port)
    sp.submit(*[part(n) for n in range(40)])
    answers = await sp.got(Accepted, 40)
    numbers = [answer.tag.to for answer in answers]
    assert sorted(numbers) == [part(n).to for n in range(40)]
    assert numbers != sorted(numbers)


# Reports


async def test_early_reports_come_before_their_answers(make: Make) -> None:
    gateway, _ = await make(early_reports=1.0, delay=0.01, report_delay=5.0)
    sp = await bound(client(), gateway.port)
    sp.submit(part(1))
    await sp.got(Accepted)
    kinds = [type(event) for event in sp.events if isinstance(event, Accepted | Reported)]
    assert kinds == [Reported, Accepted]


@every_protocol
async def test_undelivered_reports_say_so_with_the_codes_given(make: Make, protocol: str) -> None:
    code = {"sgip": "213", "smgp": "UNDELIV/003"}.get(protocol, "UNDELIV")
    gateway, _ = await make(protocol, undelivered=1.0, undelivered_codes=(code,))
    sp = await bound(client(protocol), gateway.port)
    sp.submit(part(1))
    (report,) = await sp.got(Reported)
    assert (report.fate, report.code) == (Fate.FAILED, code)


@every_protocol
async def test_intermediate_reports_come_before_final_ones(make: Make, protocol: str) -> None:
    gateway, _ = await make(protocol, intermediate=1.0)
    sp = await bound(client(protocol), gateway.port)
    sp.submit(part(1))
    reports = await sp.got(Reported, 2)
    assert [report.fate for report in reports] == [Fate.INTERMEDIATE, Fate.DELIVERED]


async def test_a_report_can_come_twice_or_never(make: Make) -> None:
    gateway, node = await make(duplicate_reports=1.0, duplicate_after=0.005)
    sp = await bound(client(), gateway.port)
    sp.submit(part(1))
    first, second = await sp.got(Reported, 2)
    assert first.keys == second.keys
    gateway.change(node, {"duplicate_reports": 0.0, "no_report": 1.0})
    sp.submit(part(2))
    await sp.got(Accepted, 2)
    gateway.change(node, {"no_report": 0.0})
    sp.submit(part(3))
    assert [report.to for report in await sp.got(Reported, 3)] == [
        part(1).to,
        part(1).to,
        part(3).to,
    ]


async def test_a_submit_that_wants_no_report_gets_none(make: Make) -> None:
    gateway, node = await make()
    sp = await bound(client(), gateway.port)
    silent = part(1)
    silent.wants_report = False
    sp.submit(silent, part(2))
    (report,) = await sp.got(Reported)
    assert report.to == part(2).to
    assert node.counts.reports == 1


async def test_reports_go_to_another_connection_of_the_account_on_command(make: Make) -> None:
    gateway, _ = await make(reports_elsewhere=1.0)
    first = await bound(client(), gateway.port)
    second = await bound(client(), gateway.port)
    first.submit(part(1))
    await second.got(Reported)
    assert first.of(Reported) == []


async def test_reports_of_a_lost_connection_go_to_another_node_of_the_account(make: Make) -> None:
    account = Account("a", "cmpp", "901234", "abcd1234", access_number="1065")
    gateway, node = await make(account=account, name="n1", report_delay=0.3)
    other, elsewhere = await make(account=account, name="n2")
    first = await bound(client(), gateway.port)
    first.submit(part(1))
    await first.got(Accepted)
    gateway.kill()
    second = await bound(client(), other.port)
    await second.got(Reported)
    await until(lambda: node.counts.reports_taken == 1)
    assert (node.counts.reports, elsewhere.counts.reports) == (0, 1)


async def test_reports_wait_for_a_client_that_comes_back(make: Make) -> None:
    gateway, node = await make(report_delay=0.01)
    sp = await bound(client(), gateway.port)
    sp.submit(part(1), part(2))
    await sp.got(Accepted, 2)
    sp.hang_up()
    await until(lambda: len(node.account.outbox) == 2)
    again = await bound(client(), gateway.port)
    assert len(await again.got(Reported, 2)) == 2


async def test_what_was_not_acknowledged_is_told_again_with_the_same_identity(make: Make) -> None:
    gateway, node = await make()
    sp = await bound(client(), gateway.port)
    sp.acknowledges = ()
    deliver(gateway, node, "你好")
    sp.submit(part(1))
    (first,) = await sp.got(Received)
    (report,) = await sp.got(Reported)
    sp.hang_up()
    again = await bound(client(), gateway.port)
    (second,) = await again.got(Received)
    assert second.identity == first.identity
    assert (await again.got(Reported))[0].keys == report.keys
    await until(lambda: node.counts.inbound_taken == node.counts.reports_taken == 1)
    assert not node.account.outbox


async def test_what_is_not_taken_in_time_is_told_again_until_it_is_given_up(make: Make) -> None:
    gateway, node = await make(redeliver_after=0.1, redeliver=2)
    sp = await bound(client(), gateway.port)
    sp.acknowledges = (Received,)
    sp.submit(part(1))
    for time in (1, 2):
        reports = await sp.got(Reported, time)
        # A connection on which nothing is answered later would be given up instead.
        await asyncio.sleep(0.005)
        deliver(gateway, node, "T")
        await until(lambda time=time: node.counts.reports_unanswered == time)  # type: ignore[misc]
    assert reports[0].keys == reports[1].keys
    assert (node.counts.reports, node.counts.reports_given_up) == (2, 1)
    assert (node.counts.inbound_taken, node.counts.closed_in_error) == (2, 0)


async def test_a_client_that_answers_nothing_at_all_is_hung_up_on(make: Make) -> None:
    gateway, node = await make(redeliver_after=0.02)
    sp = await bound(client(), gateway.port)
    sp.acknowledges = ()
    sp.submit(part(1))
    await until(lambda: sp.closed)
    assert node.counts.closed_in_error == 1
    assert len(node.account.outbox) == 1


async def test_no_more_reports_are_unanswered_than_the_window_allows(make: Make) -> None:
    gateway, node = await make(report_window=4)
    sp = await bound(client(), gateway.port)
    sp.acknowledges = ()
    sp.submit(*[part(n) for n in range(20)])
    reports = await sp.got(Reported, 4)
    await sp.got(Accepted, 20)
    assert len(sp.of(Reported)) == 4
    assert len(node.account.outbox) == 16
    sp.acknowledges = (Reported,)
    for report in reports:
        sp.session.acknowledge(report.receipt)
    sp.tick()
    assert len(await sp.got(Reported, 20)) == 20


# Faults of the whole gateway


async def test_a_deaf_gateway_reads_nothing_until_it_thaws(make: Make) -> None:
    gateway, node = await make()
    sp = await bound(client(), gateway.port)
    gateway.freeze("deaf")
    sp.submit(part(1))
    late = await connect(client(), gateway.port)
    await until(lambda: gateway.connections == 2)
    assert (node.counts.submits, node.counts.logins) == (0, 1)
    assert late.of(Bound) == []
    gateway.freeze(None)
    await sp.got(Reported)
    await late.got(Bound)


async def test_a_mute_gateway_counts_and_says_nothing_until_it_thaws(make: Make) -> None:
    gateway, node = await make()
    sp = await bound(client(), gateway.port)
    gateway.freeze("mute")
    sp.submit(part(1))
    await until(lambda: node.counts.submits == 1)
    assert (sp.of(Accepted), node.counts.answered) == ([], 0)
    gateway.freeze(None)
    await sp.got(Reported)
    assert len(sp.of(Accepted)) == 1


async def test_a_killed_gateway_refuses_connections_until_it_is_revived(make: Make) -> None:
    gateway, node = await make(report_delay=0.01)
    port = gateway.port
    sp = await bound(client(), port)
    sp.submit(part(1))
    await sp.got(Accepted)
    gateway.kill()
    await until(lambda: sp.closed)
    with pytest.raises(ConnectionRefusedError):
        await connect(client(), port)
    await gateway.revive()
    assert gateway.port == port
    again = await bound(client(), port)
    await again.got(Reported)
    assert node.counts.logins == 2


async def test_silence_is_ended_by_hanging_up(make: Make) -> None:
    gateway, node = await make(idle_close=0.02)
    sp = await bound(client(), gateway.port)
    await until(lambda: sp.closed)
    assert node.counts.closed_idle == 1


async def test_a_login_can_take_its_time(make: Make) -> None:
    gateway, _ = await make(login_delay=0.03)
    loop = asyncio.get_running_loop()
    at = loop.time()
    await bound(client(), gateway.port)
    assert 0.029 <= loop.time() - at < 2.0


async def test_writes_are_cut_into_single_octets(make: Make) -> None:
    gateway, _ = await make(split=1)
    sp = await bound(client(), gateway.port)
    sp.submit(*[part(n) for n in range(5)])
    await sp.got(Reported, 5)
    assert len(sp.of(Accepted)) == 5
    # Connect_Resp, five answers and five reports of CMPP 3.0.
    assert sum(sp.chunks) == 33 + 5 * 24 + 5 * 180
    assert len(sp.chunks) > 500


async def test_writes_are_cut_at_random_places(make: Make) -> None:
    gateway, _ = await make(split=100)
    sp = await bound(client(), gateway.port)
    sp.submit(*[part(n) for n in range(5)])
    await sp.got(Reported, 5)
    assert len(set(sp.chunks)) > 5
    assert max(sp.chunks) <= 200


async def test_writes_are_gathered_and_the_line_is_long(make: Make) -> None:
    gateway, _ = await make(latency=0.02, coalesce=0.01)
    loop = asyncio.get_running_loop()
    at = loop.time()
    sp = await bound(client(), gateway.port)
    assert loop.time() - at >= 0.02
    sp.chunks.clear()
    for n in range(4):
        sp.submit(part(n))
        await asyncio.sleep(0)
    await sp.got(Reported, 4)
    assert len(sp.chunks) <= 3


# What reached twice


async def test_a_part_that_comes_again_after_its_answer_is_the_worst_kind(make: Make) -> None:
    gateway, node = await make()
    sp = await bound(client(), gateway.port)
    sp.submit(part(1), part(2))
    await sp.got(Accepted, 2)
    sp.submit(part(1))
    await sp.got(Accepted, 3)
    assert (node.counts.twice, node.counts.twice_answered, node.counts.parts) == (1, 1, 2)
    (copy,) = node.account.reached.copies
    assert (copy.to, copy.content, copy.answered) == (part(1).to, part(1).content, True)


async def test_a_part_that_comes_again_unanswered_is_told_apart(make: Make) -> None:
    account = Account("a", "cmpp", "901234", "abcd1234", access_number="1065")
    gateway, node = await make(account=account, name="n1", loss=1.0)
    other, elsewhere = await make(account=account, name="n2")
    sp = await bound(client(), gateway.port)
    sp.submit(part(1))
    await until(lambda: node.counts.swallowed == 1)
    sp = await bound(client(), other.port)
    sp.submit(part(1))
    await sp.got(Accepted)
    assert (elsewhere.counts.twice, elsewhere.counts.twice_answered) == (1, 0)
    sp.submit(part(1))
    await sp.got(Accepted, 2)
    assert (elsewhere.counts.twice, elsewhere.counts.twice_answered) == (2, 1)


async def test_an_answer_that_a_lost_connection_kept_was_never_given(make: Make) -> None:
    gateway, node = await make(delay=0.02)
    sp = await bound(client(), gateway.port)
    sp.submit(part(1))
    await until(lambda: node.counts.submits == 1)
    sp.hang_up()
    await until(lambda: gateway.agenda.count == 0)
    assert node.counts.answered == 0
    sp = await bound(client(), gateway.port)
    sp.submit(part(1))
    await sp.got(Accepted)
    assert (node.counts.twice, node.counts.twice_answered) == (1, 0)


# Names and places


async def test_two_accounts_can_log_in_at_one_gateway() -> None:
    gateway = SimGateway("cmpp")
    one = gateway.add(Account("a", "cmpp", "901234", "abcd1234"), Behaviour(throttle=1.0))
    two = gateway.add(Account("b", "cmpp", "901235", "efgh5678"))
    with pytest.raises(ValueError, match="login '901234' is here already"):
        gateway.add(Account("c", "cmpp", "901234", "x"))
    with pytest.raises(ValueError, match="speaks smpp, not cmpp"):
        gateway.add(Account("d", "smpp", "901236", "x"))
    port = await gateway.start()
    try:
        sp = await bound(client(), port)
        sp.submit(part(1))
        await sp.got(Rejected)
        assert (one.counts.throttled, two.counts.submits) == (1, 0)
    finally:
        await gateway.stop()


async def test_a_name_that_nobody_has_is_refused(make: Make) -> None:
    gateway = SimGateway("smpp")
    gateway.add(Account("a", "smpp", "someone", "else"))
    port = await gateway.start()
    try:
        (refused,) = await (await connect(client("smpp"), port)).got(BindRefused)
        assert (refused.status, gateway.strangers) == (0x0F, 1)
    finally:
        await gateway.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "smsc.example", "127.evil.example"])
def test_only_loopback_is_played(host: str) -> None:
    with pytest.raises(ValueError, match="is not loopback"):
        SimGateway("cmpp", host)


async def test_receivers_get_the_reports_of_transmitters() -> None:
    gateway = SimGateway("smpp")
    node = gateway.add(Account("a", "smpp", "esme", "password"))
    port = await gateway.start()
    try:
        transmitter = await bound(client("smpp", mode="tx"), port)
        receiver = await bound(client("smpp", mode="rx"), port)
        transmitter.submit(part(1))
        await receiver.got(Reported)
        assert transmitter.of(Reported) == []
        assert node.counts.logins == 2
    finally:
        await gateway.stop()


async def test_quirks_shape_what_new_connections_hear(make: Make) -> None:
    gateway, _ = await make()
    gateway.bend({"report_60": True, "prefix": "86"})
    sp = await bound(client(), gateway.port)
    sp.submit(part(1))
    (report,) = await sp.got(Reported)
    assert report.to == "86" + part(1).to
    with pytest.raises(msgspec.ValidationError, match="unknown field `report_61`"):
        gateway.bend({"report_61": True})


async def test_hexadecimal_reports_go_with_decimal_answers() -> None:
    gateway = SimGateway("smpp", quirks={"text_id": "hex", "receipt": "text"})
    gateway.add(Account("a", "smpp", "esme", "password"))
    port = await gateway.start()
    try:
        sp = await bound(client("smpp"), port)
        sp.submit(part(1))
        (answer,) = await sp.got(Accepted)
        (report,) = await sp.got(Reported)
        assert answer.carrier_id.isdigit()
        assert ids.key("smpp", answer.carrier_id) in report.keys
        assert f"{int(answer.carrier_id):x}".encode() in report.keys
    finally:
        await gateway.stop()
