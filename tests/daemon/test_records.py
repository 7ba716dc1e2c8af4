"""Records that go out: every key there, times as the contract writes them."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.clock import Stamps
from daemon.jobs import Job as Fields
from daemon.model import Job, Message, Part, State
from daemon.records import Records
from daemon.shapes import Report, Times

KEYS = [
    "v", "job", "message", "tenant", "to", "state", "final", "cause", "code", "stage", "carrier",
    "account", "node", "parts", "bill_units", "attempts", "carrier_ids", "times", "meta",
]  # fmt: skip
TIMES = ["produced", "received", "submitted", "answered", "reported"]
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d")
SHANGHAI = Stamps(ZoneInfo("Asia/Shanghai"))
PROTOCOLS = {"c": "cmpp", "g": "smgp", "s": "sgip", "p": "smpp"}


def message(**fields: object) -> Message:
    job = Job(
        3,
        Fields("j-1", ("13912345678",), "hi", **fields),  # type: ignore[arg-type]
        1_795_305_600.0,
        1_795_305_600.25,
        ("sms.jobs", 0, 7),
        2,
    )
    return Message(job, 0, "13912345678", "mobile", 1)


def told(m: Message) -> dict[str, object]:
    key, value = Records(SHANGHAI, PROTOCOLS).report(m)
    assert key == m.job.fields.id.encode()
    found: dict[str, object] = orjson.loads(value)
    return found


@pytest.mark.parametrize("state", list(State))
def test_every_key_is_there_whatever_the_state(state: State) -> None:
    m = message()
    m.state = state
    record = told(m)
    assert list(record) == KEYS
    assert list(record["times"]) == TIMES  # type: ignore[call-overload]
    assert record["state"] == state.name.lower()


def test_what_is_unknown_is_null_or_empty() -> None:
    record = told(message())
    empty = {"account", "node", "cause", "code", "stage"}
    assert {key for key, value in record.items() if value is None} == empty
    assert record["carrier_ids"] == []
    assert record["meta"] == {}
    assert record["parts"] == 0


@given(st.floats(0, 4_000_000_000), st.sampled_from(["Asia/Shanghai", "UTC", "America/New_York"]))
def test_times_have_milliseconds_and_an_offset(at: float, zone: str) -> None:
    text = Stamps(ZoneInfo(zone)).text(at)
    assert text is not None
    assert STAMP.fullmatch(text)


def test_times_are_of_the_configured_zone() -> None:
    times = told(message())["times"]
    assert times == {
        "produced": "2026-11-22T08:00:00.000+08:00",
        "received": "2026-11-22T08:00:00.250+08:00",
        "submitted": None,
        "answered": None,
        "reported": None,
    }


def test_a_moment_rounds_up_into_the_next_second() -> None:
    assert SHANGHAI.text(1_795_305_599.9996) == "2026-11-22T08:00:00.000+08:00"


@pytest.mark.parametrize("state", [State.ACCEPTED, State.UNCERTAIN])
def test_a_state_that_decides_nothing_has_no_cause(state: State) -> None:
    m = message()
    m.state, m.cause = state, "absent"
    assert told(m)["cause"] is None


def test_meta_comes_back_as_it_was_given() -> None:
    raw = '{"a":[1,{"b":"字"}],"n":12345678901234567890}'
    assert orjson.dumps(told(message(meta=raw.encode()))["meta"]) == raw.encode()


@pytest.mark.parametrize(
    ("account", "carrier_id", "shown"),
    [
        ("c", bytes.fromhex("8b16b4a3c0de0001"), "0x8b16b4a3c0de0001"),
        ("g", bytes.fromhex("00112233445566778899"), "0x00112233445566778899"),
        ("s", bytes.fromhex("b45059f1437b5e5a0000002a"), "3025164785:1132158554:42"),
        ("p", b"00Ab3", "00Ab3"),
    ],
)
def test_carrier_ids_are_spelled_as_their_protocol_has_them(
    account: str, carrier_id: bytes, shown: str
) -> None:
    m = message()
    m.account = account
    m.parts = (Part(1), Part(2))
    m.parts[1].carrier_ids = (b"\0" * len(carrier_id), carrier_id)
    assert told(m)["carrier_ids"] == [shown]


def test_an_account_may_have_another_protocol_from_one_record_to_the_next() -> None:
    records = Records(SHANGHAI, dict(PROTOCOLS))
    m = message()
    m.account, m.parts = "c", (Part(1),)
    shown = []
    for protocol, carrier_id in (("cmpp", bytes(8)), ("smpp", b"00Ab3")):
        records.speaks("c", protocol)
        m.parts[0].carrier_ids = (carrier_id,)
        shown += orjson.loads(records.report(m)[1])["carrier_ids"]
    assert shown == ["0x0000000000000000", "00Ab3"]


@pytest.mark.parametrize("now", ["cmpp", "smgp", "sgip", "smpp"])
@pytest.mark.parametrize("carrier_id", [bytes(8), bytes(10), bytes(12), b"00Ab3"])
def test_an_id_of_what_the_account_spoke_before_is_shown_somehow(
    now: str, carrier_id: bytes
) -> None:
    m = message()
    m.account, m.parts = "c", (Part(1),)
    m.parts[0].carrier_ids = (carrier_id,)
    [shown] = orjson.loads(Records(SHANGHAI, {"c": now}).report(m)[1])["carrier_ids"]
    assert shown


def test_an_inbound_record_has_the_senders_number_as_its_key() -> None:
    key, value = Records(SHANGHAI, PROTOCOLS).inbound({"from": "13900000000"}, "13900000000")
    assert key == b"13900000000"
    assert orjson.loads(value) == {"v": 1, "from": "13900000000"}


OF_MANY = st.fixed_dictionaries(
    {
        "state": st.sampled_from([State.ACCEPTED, State.DELIVERED, State.UNDELIVERED]),
        "code": st.sampled_from([None, "DELIVRD", 'a "code"']),
        "node": st.sampled_from([None, "n1"]),
        "reported": st.sampled_from([None, 1_795_305_601.5]),
        "attempts": st.integers(0, 1),
    }
)


@given(
    st.text(min_size=1, max_size=5),
    st.lists(st.tuples(st.text(min_size=1, max_size=3), OF_MANY, st.binary(max_size=1))),
)
def test_records_that_follow_each_other_are_those_that_each_would_have_alone(
    name: str, recipients: list[tuple[str, dict[str, object], bytes]]
) -> None:
    records = Records(SHANGHAI, PROTOCOLS)
    to = tuple([number for number, _, _ in recipients])
    jobs = []
    for fields in (Fields(name, to, "hi"), Fields(name, to, "hi", tenant='"t', meta=b'{"a":1}')):
        jobs.append(Job(3, fields, 1_795_305_600.0, 1_795_305_600.25, ("sms.jobs", 0, 7), 2))
    for index, (number, course, carrier_id) in enumerate(recipients):
        for job in jobs:
            m = Message(job, index, number, "mobile", 1)
            m.account = "c"
            for field, value in course.items():
                setattr(m, field, value)
            m.parts = (Part(1),)
            m.parts[0].carrier_ids = (carrier_id,)
            assert records.report(m) == Records(SHANGHAI, PROTOCOLS).report(m)
            alone = told(m)
            assert list(alone) == KEYS
            assert (alone["message"], alone["to"]) == (f"{name}/{index}", number)
            assert alone["tenant"] == job.fields.tenant


@given(st.lists(st.tuples(OF_MANY, st.sampled_from("cgp"), st.integers(0, 2)), max_size=8))
def test_a_record_has_the_fields_of_its_shape(
    said: list[tuple[dict[str, object], str, int]],
) -> None:
    """Also behind one of another account, job or time."""
    records = Records(SHANGHAI, PROTOCOLS)
    shared = b"\1" * 10
    for at, (course, account, parts) in enumerate(said):
        m = message(tenant=f'"t{at}', meta=b'{"a":",\\"state\\":"}' if at % 2 else None)
        m.job.produced += at
        m.account, m.parts = account, tuple([Part(1 + number) for number in range(parts)])
        for part in m.parts:
            part.carrier_ids = (shared,)
        for field, value in course.items():
            setattr(m, field, value)
        shape = Report(
            v=1,
            job="j-1",
            message="j-1/0",
            tenant=f'"t{at}',
            to="13912345678",
            state=m.state.word,
            final=False,
            cause=None,
            code=m.code,
            stage=None,
            carrier="mobile",
            account=account,
            node=m.node,
            parts=parts,
            bill_units=2,
            attempts=m.attempts,
            carrier_ids=[shared.decode() if account == "p" else "0x" + shared.hex()] * parts,
            times=Times(
                produced=SHANGHAI.text(m.job.produced),
                received="2026-11-22T08:00:00.250+08:00",
                submitted=None,
                answered=None,
                reported=SHANGHAI.text(m.reported),
            ),
            meta=msgspec.Raw(m.job.fields.meta or b"{}"),
        )
        assert records.report(m) == (b"j-1", msgspec.json.encode(shape))
