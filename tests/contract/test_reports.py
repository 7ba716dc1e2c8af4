"""Contract, section 5: what is published of every message."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime

import pytest

from .gateways import ACCEPT, SILENT, Answer, Report, failed, refused
from .process import until
from .together import Together
from .world import World, job, number

pytestmark = pytest.mark.asyncio(loop_scope="module")
CARRIERS = ("mobile", "unicom", "telecom", "broadnet")
scene = Together("four")
BILLS = [(1, 1), (70, 1), (71, 2), (134, 2), (140, 2), (141, 3), (201, 3), (211, 4)]
LONG = "测试长短信" * 30  # 150 UTF-16 units: three parts of 67, 67 and 16


def states(world: World, message: str) -> list[str]:
    return world.daemon.states(message)


async def settle() -> None:
    """Time for an event that must not come."""
    await asyncio.sleep(0.4)


@scene(*CARRIERS)
async def test_a_message_is_accepted_then_delivered(four: World, carrier: str) -> None:
    to = number(carrier)
    one = job(to, "您的验证码是123456", signature="徐州交警", meta={"a": [1, None]}, tenant="t-1")
    await four.daemon.send(one)
    message = f"{one['id']}/0"
    last = await four.daemon.final(message)
    (submit,) = four.accounts[carrier].far.to(to)
    assert submit.text == "【徐州交警】您的验证码是123456"
    assert last["state"] == "delivered"
    assert (last["cause"], last["stage"]) == ("delivered", "report")
    assert last["code"] == {"unicom": "0", "telecom": "DELIVRD"}.get(carrier, "DELIVRD")
    assert (last["job"], last["tenant"], last["to"]) == (one["id"], "t-1", to)
    assert (last["carrier"], last["account"]) == (carrier, carrier)
    assert last["node"] == f"{carrier}-1"
    assert (last["parts"], last["bill_units"], last["attempts"]) == (1, 1, 1)
    assert last["meta"] == {"a": [1, None]}
    assert states(four, message) == ["accepted", "delivered"]
    assert all(last["times"].values())
    at = [datetime.fromisoformat(last["times"][k]) for k in ("received", "submitted", "answered")]
    assert at == sorted(at)


@scene(*CARRIERS)
async def test_a_long_message_is_delivered_when_every_part_is(four: World, carrier: str) -> None:
    to = number(carrier)
    one = job(to, LONG)
    # Late enough that no machine is so slow that it reads them with the answers.
    four.accounts[carrier].far.on(to, Answer(reports=(Report(after=1.0),)))
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    submits = four.accounts[carrier].far.to(to)
    assert [s.number for s in submits] == [1, 2, 3]
    assert {s.total for s in submits} == {3}
    assert len({s.reference for s in submits}) == 1
    assert len({id(s.connection) for s in submits}) == 1
    assert "".join(s.text for s in submits) == LONG
    assert [len(s.body) for s in submits] == [134, 134, 32]
    assert (last["parts"], last["bill_units"], last["state"]) == (3, 3, "delivered")
    assert len(last["carrier_ids"]) == 3
    assert states(four, f"{one['id']}/0") == ["accepted", "delivered"]


@scene()
async def test_carrier_ids_are_spelled_as_the_contract_says(four: World) -> None:
    jobs = {carrier: job(number(carrier), LONG) for carrier in CARRIERS}
    await four.daemon.send(*jobs.values())
    ids, idents = {}, {}
    for carrier, one in jobs.items():
        ids[carrier] = (await four.daemon.final(f"{one['id']}/0"))["carrier_ids"]
        submits = four.accounts[carrier].far.to(one["to"])
        idents[carrier] = [s.ident for s in sorted(submits, key=lambda s: s.number)]
    assert ids["mobile"] == [f"0x{i.hex()}" for i in idents["mobile"]]
    assert ids["telecom"] == [f"0x{i.hex()}" for i in idents["telecom"]]
    assert all(re.fullmatch("0x[0-9a-f]{16}", i) for i in ids["mobile"])
    assert all(re.fullmatch("0x[0-9a-f]{20}", i) for i in ids["telecom"])
    words = [[int.from_bytes(i[k : k + 4], "big") for k in (0, 4, 8)] for i in idents["unicom"]]
    assert ids["unicom"] == [":".join(map(str, w)) for w in words]
    assert ids["broadnet"] == [i.decode() for i in idents["broadnet"]]


@scene(*BILLS)
async def test_bill_units_are_seventies_of_utf16_with_the_signature(
    four: World, units: int, bill: int
) -> None:
    signed = "【交警】"
    text = "😀" + "字" * (units - 2) if units > 10 else "a" * units
    one = job(number(), text)
    if units > 10:
        one |= {"text": text[: -len(signed)], "signature": "交警"}
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert last["bill_units"] == bill
    assert last["parts"] == len(four.mobile.far.to(one["to"]))


@scene()
async def test_ascii_goes_out_in_fewer_parts_than_it_is_billed_for(four: World) -> None:
    one = job(number(), "x" * 150)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert (last["parts"], last["bill_units"]) == (1, 3)


FAILURES = [
    ("mobile", failed("UNDELIV"), "UNDELIV", "unknown"),
    ("mobile", failed("EXPIRED"), "EXPIRED", "absent"),
    ("mobile", failed("MB:0001"), "MB:0001", "sender"),
    ("mobile", failed("ZZ:9999"), "ZZ:9999", "unknown"),
    ("unicom", failed("2/25"), "25", "absent"),
    ("unicom", failed("2/182"), "182", "suspended"),
    ("unicom", failed("2/0"), "0", "unknown"),
    ("telecom", failed("UNDELIV", "005"), "UNDELIV/005", "blacklist"),
    ("telecom", failed("EXPIRED", "007"), "EXPIRED/007", "memory"),
    ("broadnet", failed("REJECTD"), "REJECTD", "unknown"),
    ("broadnet", failed("UNDELIV", "001"), "UNDELIV", "unknown"),
]


@scene(*FAILURES)
async def test_another_report_is_undelivered_with_its_code(
    four: World, carrier: str, answer: Answer, code: str, cause: str
) -> None:
    to = number(carrier)
    four.accounts[carrier].far.on(to, answer)
    one = job(to)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["stage"]) == ("undelivered", "report")
    assert (last["code"], last["cause"]) == (code, cause)


REFUSALS = [
    ("mobile", 13, "13", "unknown_number"),
    ("mobile", 10, "10", "sender"),
    ("unicom", 76, "76", "content"),
    ("telecom", 46, "46", "sender"),
    ("broadnet", 0x0B, "0x0000000B", "sender"),
    ("broadnet", 0xC4, "0x000000C4", "sender"),
]


@scene(*REFUSALS)
async def test_a_refusal_is_rejected_at_once_and_once(
    four: World, carrier: str, result: int, code: str, cause: str
) -> None:
    to = number(carrier)
    four.accounts[carrier].far.on(to, refused(result))
    one = job(to)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["stage"]) == ("rejected", "submit")
    assert (last["code"], last["cause"]) == (code, cause)
    assert last["times"]["submitted"] <= last["times"]["answered"]
    assert last["times"]["reported"] is None
    await settle()
    assert states(four, f"{one['id']}/0") == ["rejected"]
    assert len(four.accounts[carrier].far.to(to)) == 1


THROTTLES = [
    ("mobile", 8), ("unicom", 11), ("unicom", 33), ("unicom", 88), ("telecom", 1),
    ("broadnet", 0x14), ("broadnet", 0x58),
]  # fmt: skip


@scene(*THROTTLES)
async def test_a_throttle_answer_is_sent_again_under_the_same_attempt(
    four: World, carrier: str, result: int
) -> None:
    to = number(carrier)
    four.accounts[carrier].far.on(to, refused(result), refused(result), Answer())
    one = job(to)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["attempts"], last["bill_units"]) == ("delivered", 1, 1)
    submits = four.accounts[carrier].far.to(to)
    assert len(submits) == 3
    assert submits[1].at - submits[0].at >= 0.05


@scene()
async def test_a_throttled_message_is_tried_more_than_three_times(four: World) -> None:
    to = number()
    four.mobile.far.on(to, *[refused(8)] * 5, Answer())
    one = job(to)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert last["state"] == "delivered"


RETRYABLES = [("mobile", 9), ("unicom", 32)]


@scene(*RETRYABLES)
async def test_a_retryable_answer_goes_again_at_most_three_times(
    four: World, carrier: str, result: int
) -> None:
    to = number(carrier)
    four.accounts[carrier].far.on(to, refused(result))
    one = job(to)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["stage"], last["code"]) == ("rejected", "submit", str(result))
    assert last["cause"] == "route"
    assert len(four.accounts[carrier].far.to(to)) == 4


@scene()
async def test_a_retryable_answer_can_turn_out_well(four: World) -> None:
    to = number()
    four.mobile.far.on(to, refused(9), Answer())
    one = job(to)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["attempts"]) == ("delivered", 1)


@scene()
async def test_a_refused_part_leaves_the_message_rejected_whatever_others_report(
    four: World,
) -> None:
    to = number()
    four.mobile.far.on(to, Answer(), refused(13), Answer())
    one = job(to, LONG)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["code"]) == ("rejected", "13")
    await settle()
    assert states(four, f"{one['id']}/0") == ["rejected"]


@scene(*CARRIERS)
async def test_the_first_failed_part_gives_the_code(four: World, carrier: str) -> None:
    to = number(carrier)
    words = {"unicom": ("DELIVRD", "2/29", "2/25")}.get(carrier, ("DELIVRD", "EXPIRED", "UNDELIV"))
    late = [Report(w, after) for w, after in zip(words, (0.02, 0.1, 0.3), strict=True)]
    four.accounts[carrier].far.on(to, *(Answer(reports=(r,)) for r in late))
    one = job(to, LONG)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    code = {"unicom": "29", "telecom": "EXPIRED/000"}.get(carrier, "EXPIRED")
    assert (last["state"], last["code"]) == ("undelivered", code)
    assert states(four, f"{one['id']}/0")[0] == "accepted"


@scene(*CARRIERS)
async def test_a_report_that_overtakes_its_answer_counts(four: World, carrier: str) -> None:
    to = number(carrier)
    four.accounts[carrier].far.on(to, Answer(after=0.3, early=True))
    one = job(to)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert last["state"] == "delivered"
    assert len(four.accounts[carrier].far.to(to)) == 1


@scene(*CARRIERS)
async def test_intermediate_reports_change_nothing(four: World, carrier: str) -> None:
    to = number(carrier)
    word = {"unicom": "1/0", "broadnet": "ENROUTE"}.get(carrier, "ACCEPTD")
    four.accounts[carrier].far.on(to, Answer(reports=(Report(word), Report(after=0.3))))
    one = job(to)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert last["state"] == "delivered"
    assert states(four, f"{one['id']}/0") == ["accepted", "delivered"]


async def test_a_second_report_gives_no_second_event(four: World) -> None:
    to = number()
    two = (Report(), Report("UNDELIV", 0.1), Report(after=0.15))
    four.mobile.far.on(to, Answer(reports=two))
    one = job(to)
    await four.daemon.send(one)
    await four.daemon.final(f"{one['id']}/0")
    await until(lambda: len(four.mobile.gateway.deliver_answers) >= 3)
    await settle()
    assert states(four, f"{one['id']}/0") == ["accepted", "delivered"]
    assert set(four.mobile.gateway.deliver_answers) == {0}


@scene()
async def test_without_reports_accepted_is_final(four: World) -> None:
    jobs = {carrier: job(number(carrier), report=False) for carrier in CARRIERS}
    await four.daemon.send(*jobs.values())
    for carrier, one in jobs.items():
        last = await four.daemon.final(f"{one['id']}/0")
        assert (last["state"], last["final"]) == ("accepted", True)
        assert last["times"]["reported"] is None
        (submit,) = four.accounts[carrier].far.to(one["to"])
        assert not submit.wants_report


@scene()
async def test_reports_are_asked_for_each_part(four: World) -> None:
    jobs = {carrier: job(number(carrier), LONG) for carrier in CARRIERS}
    await four.daemon.send(*jobs.values())
    for carrier, one in jobs.items():
        await four.daemon.final(f"{one['id']}/0")
        assert all(s.wants_report for s in four.accounts[carrier].far.to(one["to"]))


async def test_numbers_in_reports_may_have_the_country_code(four: World) -> None:
    four.mobile.gateway.report_number = "86" + (to := number())
    one = job(to)
    await four.daemon.send(one)
    assert (await four.daemon.final(f"{one['id']}/0"))["state"] == "delivered"
    four.mobile.gateway.report_number = None


async def test_a_report_of_sixty_octets_is_read_in_version_three_too(four: World) -> None:
    four.mobile.gateway.report_size = 60
    one = job(number())
    await four.daemon.send(one)
    assert (await four.daemon.final(f"{one['id']}/0"))["state"] == "delivered"
    four.mobile.gateway.report_size = None


@pytest.mark.parametrize(
    "spelling",
    [
        b"%s Sub:001 dlvrd:001 Submit date:2611220830 done date:2611220831 stat:%s err:%s Text:%s",
        b"%ssub:001 dlvrd:001 submit_date:2611220830 done_date:2611220831 stat:%s err:%s txt:%s",
    ],
)
async def test_telecom_reports_are_read_in_other_spellings(four: World, spelling: bytes) -> None:
    usual, four.telecom.gateway.spelling = four.telecom.gateway.spelling, spelling
    one = job(number("telecom"))
    await four.daemon.send(one)
    assert (await four.daemon.final(f"{one['id']}/0"))["state"] == "delivered"
    four.telecom.gateway.spelling = usual


async def test_smpp_ids_may_be_hexadecimal_in_the_answer_and_decimal_in_the_receipt(
    four: World,
) -> None:
    four.broadnet.gateway.hexadecimal = True
    one = job(number("broadnet"))
    await four.daemon.send(one)
    assert (await four.daemon.final(f"{one['id']}/0"))["state"] == "delivered"
    four.broadnet.gateway.receipt_tlvs = True
    one = job(number("broadnet"))
    await four.daemon.send(one)
    assert (await four.daemon.final(f"{one['id']}/0"))["state"] == "delivered"
    four.broadnet.gateway.hexadecimal = four.broadnet.gateway.receipt_tlvs = False


@scene()
async def test_a_message_waits_for_its_report(four: World) -> None:
    to = number()
    four.mobile.far.on(to, ACCEPT)
    one = job(to)
    await four.daemon.send(one)
    await four.daemon.state(f"{one['id']}/0", "accepted")
    await settle()
    assert states(four, f"{one['id']}/0") == ["accepted"]


@scene()
async def test_messages_of_a_job_are_numbered_with_the_bad_ones_counted(four: World) -> None:
    good, other = number(), number("telecom")
    one = job([good, "12345", other, good])
    await four.daemon.send(one)
    name = one["id"]
    assert (await four.daemon.final(f"{name}/0"))["state"] == "delivered"
    bad = await four.daemon.final(f"{name}/1")
    assert (bad["state"], bad["stage"], bad["code"]) == ("rejected", "gate", "LOCAL:BAD_NUMBER")
    assert (bad["carrier"], bad["account"], bad["node"]) == (None, None, None)
    assert bad["carrier_ids"] == []
    assert bad["to"] == "12345"
    assert (await four.daemon.final(f"{name}/2"))["carrier"] == "telecom"
    again = await four.daemon.final(f"{name}/3")
    assert (again["state"], again["code"]) == ("rejected", "LOCAL:DUPLICATE")
    assert len(four.mobile.far.to(good)) == 1


@scene()
async def test_a_lost_answer_makes_uncertain_then_delivered_by_the_report(four: World) -> None:
    to = number("telecom")
    four.telecom.far.on(to, Answer(result=None, reports=(Report(after=4.0),)))
    one = job(to)
    await four.daemon.send(one)
    doubt = await four.daemon.state(f"{one['id']}/0", "uncertain")
    assert (doubt["final"], doubt["cause"], doubt["code"]) == (False, None, None)
    assert doubt["times"]["answered"] is None


@scene()
async def test_silence_leads_to_uncertain_and_one_resend(four: World) -> None:
    to = number()
    four.mobile.far.on(to, SILENT, Answer())
    one = job(to)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["attempts"], last["bill_units"]) == ("delivered", 2, 1)
    assert states(four, f"{one['id']}/0") == ["uncertain", "accepted", "delivered"]


async def test_nothing_that_the_daemon_did_breaks_the_contract(four: World) -> None:
    assert four.faults() == []
