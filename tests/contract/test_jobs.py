"""Contract, section 4: what a job may be, and what becomes of one that is none."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgpack
import pytest

from .process import JOBS, URGENT, until
from .world import World, job, number

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHINA = timezone(timedelta(hours=8))


def stamp(ahead: float, zone: timezone = CHINA) -> str:
    return (datetime.now(zone) + timedelta(seconds=ahead)).isoformat(timespec="milliseconds")


async def delivered(world: World, one: dict[str, Any], index: int = 0) -> dict[str, Any]:
    last = await world.daemon.final(f"{one['id']}/{index}")
    assert last["state"] == "delivered", last
    return last


async def rejected(world: World, one: dict[str, Any], code: str) -> None:
    last = await world.daemon.final(f"{one['id']}/0")
    assert (last["state"], last["stage"], last["code"]) == ("rejected", "gate", code)


async def dead(world: World, *values: bytes, **more: Any) -> list[dict[str, Any]]:
    """The dead records of these, in their order."""
    before = len(world.daemon.published["dead"])
    await world.daemon.put(*values, **more)
    await until(
        lambda: len(world.daemon.published["dead"]) >= before + len(values), what=values[:3]
    )
    return [p.value for p in world.daemon.published["dead"][before:]]


async def test_a_number_is_folded_from_every_form(four: World) -> None:
    national = [number() for _ in range(9)]
    forms = ["+86{}", "0086{}", "86{}", "+86 {}", "{}", "(86){}", "+86-{}", "0086.{}", "86 [{}]"]
    jobs = []
    for form, plain in zip(forms, national, strict=True):
        spaced = f"{plain[:3]} {plain[3:7]}-{plain[7:]}"
        jobs.append(job(form.format(spaced)))
    wide = number()
    jobs.append(job("".join(chr(ord(c) + 0xFEE0) for c in wide)))
    national.append(wide)
    await four.daemon.send(*jobs)
    for one, plain in zip(jobs, national, strict=True):
        assert (await delivered(four, one))["to"] == plain
        assert len(four.mobile.far.to(plain)) == 1


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("12345", "LOCAL:BAD_NUMBER"),
        ("23800000000", "LOCAL:BAD_NUMBER"),
        ("138000000000", "LOCAL:BAD_NUMBER"),
        ("abc", "LOCAL:BAD_NUMBER"),
        ("+8529123456", "LOCAL:BAD_NUMBER"),
        ("1440012345678", "LOCAL:IOT_NUMBER"),
        ("8614800123456789", "LOCAL:BAD_NUMBER"),
        ("15400000001", "LOCAL:NO_ROUTE"),
    ],
)
async def test_a_number_that_cannot_be_reached_is_rejected(four: World, to: str, code: str) -> None:
    one = job(to)
    await four.daemon.send(one)
    await rejected(four, one, code)


async def test_a_number_given_twice_goes_out_once_in_whatever_form(four: World) -> None:
    to = number()
    one = job([f"+86{to}", to])
    await four.daemon.send(one)
    assert (await four.daemon.final(f"{one['id']}/1"))["code"] == "LOCAL:DUPLICATE"
    await delivered(four, one)
    assert len(four.mobile.far.to(to)) == 1


async def test_a_thousand_recipients_are_one_job(four: World) -> None:
    to = [number() for _ in range(1000)]
    one = job(to)
    await four.daemon.send(one)
    await asyncio.gather(*(four.daemon.final(f"{one['id']}/{i}") for i in (0, 1, 499, 998, 999)))
    await until(
        lambda: len({s.to[0] for s in four.mobile.far.submits} & set(to)) == 1000, what="all"
    )


async def test_the_signature_is_put_in_front_once(four: World) -> None:
    plain = job(number(), "内容", signature="交管局")
    signed = job(number(), "【交管局】内容", signature="交管局")
    other = job(number(), "【公安局】内容", signature="交管局")
    await four.daemon.send(plain, signed, other)
    for one, text in (
        (plain, "【交管局】内容"),
        (signed, "【交管局】内容"),
        (other, "【交管局】【公安局】内容"),
    ):
        await delivered(four, one)
        assert four.mobile.far.to(one["to"])[0].text == text


async def test_the_extension_follows_the_access_number(four: World) -> None:
    access = four.mobile.far.access_number
    exact = job(number(), ext="1" * (20 - len(access)))
    over = job(number(), ext="1" * (21 - len(access)))
    await four.daemon.send(exact, over)
    await delivered(four, exact)
    assert four.mobile.far.to(exact["to"])[0].src == access + exact["ext"]
    await rejected(four, over, "LOCAL:EXT")


async def test_the_account_overrides_the_route(four: World) -> None:
    one = job(number("mobile"), account="telecom")
    await four.daemon.send(one)
    last = await delivered(four, one)
    assert (last["carrier"], last["account"]) == ("mobile", "telecom")
    unknown = job(number(), account="nobody")
    await four.daemon.send(unknown)
    await rejected(four, unknown, "LOCAL:ACCOUNT")


async def test_msgpack_is_taken_when_the_header_says_so(four: World) -> None:
    one = job(number(), "消息", meta={"k": [1, 2.5, None, True, "值"]})
    await four.daemon.put(msgpack.packb(one), content_type="application/msgpack")
    assert (await delivered(four, one))["meta"] == one["meta"]
    (record,) = await dead(four, b"\xc1", content_type="application/msgpack")
    assert record["value_base64"] == base64.b64encode(b"\xc1").decode()


def wrong(**change: Any) -> bytes:
    one = job("13800138000")
    one.update(change)
    return json.dumps({k: v for k, v in one.items() if v is not None}).encode()


WRONG = [
    ("id", wrong(id=None)),
    ("id", wrong(id="")),
    ("id", wrong(id="x" * 65)),
    ("id", wrong(id=7)),
    ("to", wrong(to=None)),
    ("to", wrong(to=[])),
    ("to", wrong(to="")),
    ("to", wrong(to=["13800138000"] * 1001)),
    ("to", wrong(to=13800138000)),
    ("to", wrong(to=[13800138000])),
    ("text", wrong(text=None)),
    ("text", wrong(text="")),
    ("text", wrong(text="x" * 2001)),
    ("text", wrong(text=["x"])),
    ("signature", wrong(signature="x")),
    ("signature", wrong(signature="x" * 21)),
    ("tenant", wrong(tenant=1)),
    ("ext", wrong(ext="1a")),
    ("ext", wrong(ext=12)),
    ("priority", wrong(priority="high")),
    ("not_before", wrong(not_before="2026-11-22T10:00:00")),
    ("not_before", wrong(not_before=stamp(8 * 86400))),
    ("not_before", wrong(not_before="tomorrow")),
    ("expires_at", wrong(expires_at="2026-11-22T10:00:00")),
    ("expires_at", wrong(expires_at=1700000000)),
    ("report", wrong(report="yes")),
    ("account", wrong(account=1)),
    ("on_uncertain", wrong(on_uncertain="maybe")),
    ("meta", wrong(meta=[1])),
    ("meta", wrong(meta={"k": "x" * 4200})),
    ("colour", wrong(colour="red")),
]


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda v: str(v)[:60])
async def test_a_record_that_is_wrong_by_itself_is_dead(
    four: World, field: str, value: bytes
) -> None:
    behind = job(number())
    (record,) = await dead(four, value, key=b"its-key")
    await four.daemon.send(behind)
    assert record["field"] == field
    assert isinstance(record["error"], str)
    assert record["error"]
    assert record["value_base64"] == base64.b64encode(value).decode()
    assert (record["v"], record["topic"], record["partition"]) == (1, JOBS, 0)
    assert isinstance(record["offset"], int)
    assert four.daemon.published["dead"][-1].key == "its-key"
    await delivered(four, behind)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"nothing", b"[1]", b'"x"', b"null", b"{", b"\xff\xfe", b"{}{}", b"\x00" * 40,
        b'{"id":"a","to":"13800138000","text":"\\ud800"}',
        b'{"id":"\\ud800","to":"13800138000","text":"x"}',
        b"[" * 5000,
    ],
    ids=lambda v: repr(v[:30]),
)  # fmt: skip
async def test_what_is_no_job_is_dead_and_stops_nothing(four: World, value: bytes) -> None:
    (record,) = await dead(four, value)
    assert base64.b64decode(record["value_base64"]) == value
    assert record["error"]
    behind = job(number())
    await four.daemon.send(behind)
    await delivered(four, behind)


async def test_the_offset_of_a_dead_record_is_its_own(four: World) -> None:
    first, second = await dead(four, b"one", b"two")
    assert second["offset"] == first["offset"] + 1
    urgent, third = await dead(four, b"three", topic=URGENT), None
    assert urgent[0]["topic"] == URGENT
    assert third is None


async def test_limits_themselves_are_allowed(four: World) -> None:
    one = job(
        number(), "字" * 2000, signature="x" * 20, tenant="T" * 10,
        meta={"k": "x" * 4000}, on_uncertain="wait", priority="bulk",
        expires_at=stamp(60, UTC), not_before=stamp(-5),
    )  # fmt: skip
    one["id"] = "i" * 64
    await four.daemon.send(one)
    last = await four.daemon.final(one["id"] + "/0")
    assert last["state"] == "delivered"
    assert last["parts"] == len(four.mobile.far.to(one["to"])) == 31
    assert last["meta"] == one["meta"]


async def test_a_repeated_job_gives_no_event(four: World) -> None:
    one = job(number())
    before = await four.daemon.metric("carrierd_jobs_total", outcome="duplicate")
    await four.daemon.send(one, one)
    await delivered(four, one)
    await four.daemon.send(one)
    reordered = dict(reversed(one.items()))
    await four.daemon.send(reordered)
    await four.daemon.put(msgpack.packb(one), content_type="application/msgpack")
    behind = job(number())
    await four.daemon.send(behind)
    await delivered(four, behind)
    assert len(four.mobile.far.to(one["to"])) == 1
    assert four.daemon.states(f"{one['id']}/0") == ["accepted", "delivered"]
    after = await four.daemon.metric("carrierd_jobs_total", outcome="duplicate")
    assert after - before == 4


async def test_the_same_id_with_other_content_is_dead(four: World) -> None:
    one = job(number())
    await four.daemon.send(one)
    await delivered(four, one)
    (record,) = await dead(four, json.dumps({**one, "text": "other"}).encode())
    assert record["field"] == "id"
    assert len(four.mobile.far.to(one["to"])) == 1


async def test_an_id_is_used_up_by_a_rejected_job_too(four: World) -> None:
    one = job("12345")
    await four.daemon.send(one)
    await rejected(four, one, "LOCAL:BAD_NUMBER")
    (record,) = await dead(four, json.dumps({**one, "to": number()}).encode())
    assert record["field"] == "id"


async def test_a_job_waits_for_not_before(four: World) -> None:
    at = datetime.now(CHINA) + timedelta(seconds=1.5)
    one = job(number(), not_before=at.isoformat(timespec="milliseconds"))
    await four.daemon.send(one)
    last = await delivered(four, one)
    written = datetime.fromisoformat(last["times"]["submitted"])
    assert timedelta(0) <= written - at < timedelta(seconds=1)


async def test_what_is_past_its_time_is_expired_unsubmitted(four: World) -> None:
    gone = job(number(), expires_at=stamp(-1))
    soon = job(number(), expires_at=stamp(1.0), not_before=stamp(2.5))
    await four.daemon.send(gone, soon)
    for one in (gone, soon):
        last = await four.daemon.final(f"{one['id']}/0")
        assert (last["state"], last["code"]) == ("expired", "LOCAL:QUEUE_EXPIRED")
        assert four.mobile.far.to(one["to"]) == []
        assert last["times"]["submitted"] is None
        assert last["carrier_ids"] == []


@pytest.mark.parametrize("carrier", ["mobile", "unicom", "telecom", "broadnet"])
async def test_the_carrier_is_told_the_expiry(four: World, carrier: str) -> None:
    at = datetime(2026, 11, 23, 10, 15, 30, tzinfo=UTC)
    if at < datetime.now(UTC):
        at = (datetime.now(UTC) + timedelta(hours=5)).replace(microsecond=0)
    one = job(number(carrier), expires_at=at.isoformat())
    plain = job(number(carrier))
    await four.daemon.send(one, plain)
    await delivered(four, one)
    await delivered(four, plain)
    wanted = at.astimezone(CHINA).strftime("%y%m%d%H%M%S") + "032+"
    far = four.accounts[carrier].far
    assert far.to(one["to"])[0].fields["valid"] == wanted
    assert far.to(plain["to"])[0].fields["valid"] == ""


async def test_the_wire_fields_are_the_accounts(four: World) -> None:
    jobs = {carrier: job(number(carrier)) for carrier in four.accounts}
    await four.daemon.send(*jobs.values())
    for carrier, service in (
        ("mobile", "XZ12123"), ("unicom", "XZU"), ("telecom", "XZT"), ("broadnet", "XZB"),
    ):  # fmt: skip
        await delivered(four, jobs[carrier])
        (submit,) = four.accounts[carrier].far.to(jobs[carrier]["to"])
        assert submit.fields["service_id"] == service
        assert submit.src == four.accounts[carrier].far.access_number
    (unicom,) = four.unicom.far.to(jobs["unicom"]["to"])
    assert unicom.fields["corp_id"] == "12345"
    assert unicom.fields["charge"] == b"0" * 21


async def test_texts_keep_every_character(four: World) -> None:
    texts = [
        "@£$¥ {}[]~\\|^_`",
        "plain ASCII",
        "emoji 😀 𠮷",
        "ñ é ß",
        "中文，。",
        "x\ny\r\nz",
        "\t",
    ]
    for carrier in four.accounts:
        jobs = [job(number(carrier), text) for text in texts]
        await four.daemon.send(*jobs)
        for one in jobs:
            await delivered(four, one)
            (submit,) = four.accounts[carrier].far.to(one["to"])
            assert submit.text == one["text"], carrier
            assert not submit.body.startswith(b"\xfe\xff")


async def test_a_split_never_cuts_a_surrogate_pair(four: World) -> None:
    text = "a" * 66 + "😀" * 40 + "b"
    one = job(number(), text)
    await four.daemon.send(one)
    await delivered(four, one)
    parts = sorted(four.mobile.far.to(one["to"]), key=lambda s: s.number)
    assert "".join(s.text for s in parts) == text


async def test_times_are_taken_in_every_form_of_the_rfc(four: World) -> None:
    ahead = datetime.now(UTC) + timedelta(days=2)
    forms = ["%Y-%m-%dt%H:%M:%Sz", "%Y-%m-%dT%H:%M:%S.123456789+08:00", "%Y-%m-%dT%H:%M:%S-00:00"]
    jobs = [job(number(), expires_at=ahead.strftime(form)) for form in forms]
    await four.daemon.send(*jobs)
    for one in jobs:
        await delivered(four, one)
    wrong_ones = [
        "%Y-%m-%dT%H:%M+08:00",
        "%Y%m%dT%H%M%SZ",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-13-%dT%H:%M:%SZ",
    ]
    values = [wrong(expires_at=ahead.strftime(form)) for form in wrong_ones]
    assert {record["field"] for record in await dead(four, *values)} == {"expires_at"}


async def test_a_dead_record_without_a_key_has_none(four: World) -> None:
    await dead(four, b"nothing")
    assert four.daemon.published["dead"][-1].key is None


async def test_produced_is_the_records_own_time(four: World) -> None:
    before = datetime.now(CHINA)
    one = job(number())
    await four.daemon.send(one)
    last = await delivered(four, one)
    produced = datetime.fromisoformat(last["times"]["produced"])
    assert abs(produced - before) < timedelta(milliseconds=200)


async def test_unknown_prefixes_are_counted(four: World) -> None:
    before = await four.daemon.metric("carrierd_unknown_prefix_total")
    one = job("15400000077")
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    assert last["carrier"] is None
    assert await four.daemon.metric("carrierd_unknown_prefix_total") == before + 1


async def test_nothing_that_the_daemon_did_breaks_the_contract(four: World) -> None:
    assert four.faults() == []
