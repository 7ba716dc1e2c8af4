"""The daemon against gateways that somebody else wrote: SMSGate's CMPP 2.0 and 3.0, SGIP and SMGP.

What the gateway decoded and joined is compared with what was asked for, and what the daemon
published with what the gateway says it did.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.contract.events import faults
from tests.contract.process import Daemon, until
from tests.peers import java
from tests.peers.java import Event, JavaPeer
from tests.ports import free_port

# One daemon and its four gateways live as long as the module: starting them costs more than tests.
pytestmark = [pytest.mark.peers, pytest.mark.asyncio(loop_scope="module")]

LOGIN, PASSWORD = "901234", "secret"
CREDENTIALS: dict[str, object] = {"login": LOGIN, "password": PASSWORD, "report": 30}
ACCESS = "10690001"
NODE = 3025112345
BEIJING = timezone(timedelta(hours=8))
SIGNED = "【示例科技】"
# A surrogate pair lies across the place where the first part would be full.
LONG = "长" * 60 + "😀" + "尾" * 90
_phones = itertools.count(1)
_jobs = itertools.count(1)


@dataclass(frozen=True)
class Line:
    """What differs between the gateways; the name is the account's too."""

    name: java.Protocol
    carrier: str
    prefix: str
    account: dict[str, Any]
    login: dict[str, int]
    """The kind of login that the gateway is to see."""
    refused: tuple[int, str]
    """A result that ends the message, and its cause."""
    throttled: int
    delivered: str = "DELIVRD"
    """The report's code when all went well."""
    failed: str = "UNDELIV"
    """The code of a report with stat UNDELIV and error 27."""
    on_wire: str = ""
    """What goes in front of a phone's eleven digits."""


CMPP = {"protocol": "cmpp", "service_id": "XZ12123"}
SGIP = {
    "protocol": "sgip", "version": "1.2", "service_id": "XZU", "node_id": NODE, "corp_id": "12345",
    "listen_login": "smg", "listen_password": "smgsecret", "listen_allow": ["127.0.0.0/8"],
}  # fmt: skip
SMGP = {"protocol": "smgp", "version": "3.0", "service_id": "XZT"}
LINES = (
    Line("cmpp20", "broadnet", "192", {**CMPP, "version": "2.0"}, {"version": 32},
         (13, "unknown_number"), 8),
    Line("cmpp30", "mobile", "138", {**CMPP, "version": "3.0"}, {"version": 48},
         (13, "unknown_number"), 8),
    Line("sgip", "unicom", "130", SGIP, {"mode": 1}, (12, "unknown_number"), 88,
         delivered="0", failed="27", on_wire="86"),
    Line("smgp", "telecom", "133", SMGP, {"mode": 2}, (47, "sender"), 1, failed="UNDELIV/027"),
)  # fmt: skip


def account(line: Line, port: int, listen: int, **keys: Any) -> dict[str, Any]:
    """The account's table in the daemon's configuration."""
    table = {
        "carrier": line.carrier, "login": LOGIN, "password": PASSWORD, "access_number": ACCESS,
        "rate": 2000, "answer_within": 3.0, "max_destinations": 80, **line.account, **keys,
        "nodes": [{"name": f"{line.name}-1", "host": "127.0.0.1", "port": port}],
    }  # fmt: skip
    if line.name == "sgip":
        table["listen"] = f"127.0.0.1:{listen}"
    return table


def back(line: Line, listen: int) -> dict[str, object]:
    """What the gateway is told of the daemon: SGIP's connects to it."""
    return {"callback": f"127.0.0.1:{listen}", "node": 1010} if line.name == "sgip" else {}


def config(accounts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    routes = {table["carrier"]: [name] for name, table in accounts.items()}
    return {"accounts": dict(accounts), "routes": routes, "uncertain": {"hold": 5.0}}


@dataclass
class System:
    daemon: Daemon
    gateways: Mapping[java.Protocol, JavaPeer]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    tmp_path_factory: pytest.TempPathFactory, java_peer: type[JavaPeer]
) -> AsyncIterator[System]:
    async with AsyncExitStack() as stack:
        listen = free_port()
        started = await asyncio.gather(
            *(
                stack.enter_async_context(
                    java_peer("gateway", line.name, **CREDENTIALS, **back(line, listen))
                )
                for line in LINES
            )
        )
        gateways = {line.name: peer for line, peer in zip(LINES, started, strict=True)}
        ports = {line.name: gateways[line.name].port for line in LINES}
        accounts = {str(line.name): account(line, ports[line.name], listen) for line in LINES}
        daemon = Daemon(tmp_path_factory.mktemp("java"), config(accounts))
        stack.push_async_callback(daemon.close)
        await daemon.start()
        await daemon.follow()
        yield System(daemon, gateways)


class Carrier:
    """One gateway with the account that the daemon has there."""

    def __init__(self, line: Line, daemon: Daemon, gateway: JavaPeer) -> None:
        self.line, self.daemon, self.gateway = line, daemon, gateway

    def phone(self) -> str:
        """A number that no other test uses."""
        return f"{self.line.prefix}{next(_phones):08d}"

    def wire(self, phone: str) -> str:
        return self.line.on_wire + phone

    async def send(self, phone: str, text: str, **fields: Any) -> str:
        """Puts one job on the jobs topic; returns the message's id."""
        name = f"{self.line.name}-{next(_jobs)}"
        await self.daemon.send({"id": name, "to": phone, "text": text, **fields})
        return f"{name}/0"

    async def submits(self, phone: str, count: int = 1) -> list[Event]:
        return await self.gateway.events("submit", count, to=[self.wire(phone)])

    async def ids(self, submits: list[Event]) -> list[str]:
        """What the gateway answered these with."""
        return [
            (await self.gateway.event("answer", sequence=submit["sequence"], result=0))["id"]
            for submit in submits
        ]

    async def inbound(self, phone: str) -> dict[str, Any]:
        found: dict[str, Any] = await until(
            lambda: next(
                (p.value for p in self.daemon.published["inbound"] if p.value["from"] == phone),
                None,
            ),
            what=f"an inbound message from {phone}",
        )
        return found

    def states(self, message: str) -> list[str]:
        return [event["state"] for event in self.daemon.events(message)]


@pytest.fixture(params=LINES, ids=lambda line: line.name)
def carrier(request: pytest.FixtureRequest, system: System) -> Carrier:
    line: Line = request.param
    return Carrier(line, system.daemon, system.gateways[line.name])


async def test_the_login_is_what_the_gateway_checks_and_admits(carrier: Carrier) -> None:
    asked = await carrier.gateway.event("connect", side="gateway")
    assert asked["login"] == LOGIN
    assert {key: asked[key] for key in carrier.line.login} == carrier.line.login
    assert (await carrier.gateway.event("login", side="gateway"))["status"] == 0
    up = await carrier.daemon.metric("carrierd_bind_up", account=carrier.line.name)
    assert up == 1


async def test_a_short_text_arrives_as_ascii_and_its_report_ends_it(carrier: Carrier) -> None:
    phone = carrier.phone()
    message = await carrier.send(phone, "hello, world", ext="88")
    final = await carrier.daemon.final(message)
    (submit,) = await carrier.submits(phone)
    assert submit["from"] == ACCESS + "88"
    assert (submit["coding"], submit["hex"]) == (0, b"hello, world".hex())
    assert submit["report"] is True
    assert submit["service"] == carrier.line.account["service_id"]
    (answered,) = await carrier.ids([submit])
    assert (final["state"], final["cause"], final["stage"]) == ("delivered", "delivered", "report")
    assert final["code"] == carrier.line.delivered
    assert final["carrier_ids"] == [answered]
    assert (final["account"], final["node"]) == (carrier.line.name, f"{carrier.line.name}-1")
    assert (final["carrier"], final["attempts"], final["parts"]) == (carrier.line.carrier, 1, 1)
    assert all(final["times"].values())
    taken = await carrier.gateway.events("taken", 1, of="report")
    assert all(answer["result"] == 0 for answer in taken)


async def test_chinese_with_a_signature_arrives_as_it_was_asked_for(carrier: Carrier) -> None:
    phone = carrier.phone()
    message = await carrier.send(phone, "您的验证码是 836251", signature="示例科技")
    final = await carrier.daemon.final(message)
    (submit,) = await carrier.submits(phone)
    text = SIGNED + "您的验证码是 836251"
    assert (submit["coding"], submit["text"]) == (8, text)
    assert submit["hex"] == text.encode("utf-16-be").hex()
    assert not submit["udhi"]
    assert (final["state"], final["bill_units"]) == ("delivered", 1)


@pytest.mark.parametrize(
    ("text", "signature", "parts", "units"),
    [(LONG, "示例科技", 3, 3), ("long ASCII, " * 30, None, 3, 6)],
    ids=["chinese", "ascii"],
)
async def test_a_long_text_is_joined_by_the_gateway_to_what_was_asked_for(
    carrier: Carrier, text: str, signature: str | None, parts: int, units: int
) -> None:
    phone = carrier.phone()
    fields = {} if signature is None else {"signature": signature}
    message = await carrier.send(phone, text, **fields)
    final = await carrier.daemon.final(message)
    whole = await carrier.gateway.event("message", of="submit", to=[carrier.wire(phone)])
    assert whole["text"] == ("" if signature is None else SIGNED) + text
    submits = sorted(await carrier.submits(phone, parts), key=lambda s: int(s["number"]))
    assert [(s["number"], s["total"], s["udhi"]) for s in submits] == [
        (number, parts, True) for number in range(1, parts + 1)
    ]
    assert final["state"] == "delivered"
    assert (final["parts"], final["bill_units"]) == (parts, units)
    assert final["carrier_ids"] == await carrier.ids(submits)


async def test_a_failed_delivery_is_told_with_the_carriers_code(carrier: Carrier) -> None:
    await carrier.gateway.change(stat="UNDELIV", error=27)
    final = await carrier.daemon.final(await carrier.send(carrier.phone(), "to nobody"))
    await carrier.gateway.change(stat="DELIVRD", error=0)
    assert (final["state"], final["stage"]) == ("undelivered", "report")
    assert final["code"] == carrier.line.failed
    assert final["cause"] not in (None, "delivered")


async def test_an_intermediate_report_changes_nothing(carrier: Carrier) -> None:
    if carrier.line.name != "sgip":
        await carrier.gateway.change(stat="ACCEPTD")
    else:
        await carrier.gateway.change(stat="ENROUTE")
    phone = carrier.phone()
    message = await carrier.send(phone, "on its way")
    (submit,) = await carrier.submits(phone)
    (answered,) = await carrier.ids([submit])
    report = await carrier.gateway.event("report", id=answered)
    await carrier.gateway.event("taken", of="report", sequence=report["sequence"])
    await carrier.daemon.state(message, "accepted")
    assert carrier.states(message) == ["accepted"]
    await carrier.gateway.change(stat="DELIVRD")


async def test_a_refused_submit_ends_the_message(carrier: Carrier) -> None:
    result, cause = carrier.line.refused
    await carrier.gateway.change(result=result)
    phone = carrier.phone()
    final = await carrier.daemon.final(await carrier.send(phone, "refused"))
    await carrier.gateway.change(result=0)
    assert (final["state"], final["stage"], final["code"]) == ("rejected", "submit", str(result))
    assert final["cause"] == cause
    assert len(await carrier.submits(phone)) == 1


async def test_a_throttled_submit_goes_again_under_the_same_attempt(carrier: Carrier) -> None:
    await carrier.gateway.change(result=carrier.line.throttled)
    phone = carrier.phone()
    message = await carrier.send(phone, "slower")
    await carrier.submits(phone)
    await carrier.gateway.event("answer", result=carrier.line.throttled)
    await carrier.gateway.change(result=0)
    final = await carrier.daemon.final(message)
    assert (final["state"], final["attempts"]) == ("delivered", 1)
    assert len(await carrier.submits(phone, 2)) >= 2


async def test_a_report_before_its_answer_is_kept_for_it(carrier: Carrier) -> None:
    await carrier.gateway.change(delay=400, report=0)
    phone = carrier.phone()
    message = await carrier.send(phone, "early")
    (submit,) = await carrier.submits(phone)
    report = await carrier.gateway.event("report", to=carrier.wire(phone))
    assert not carrier.gateway.seen("answer", sequence=submit["sequence"])
    final = await carrier.daemon.final(message)
    await carrier.gateway.change(delay=0, report=30)
    assert (final["state"], final["code"]) == ("delivered", carrier.line.delivered)
    (answered,) = await carrier.ids([submit])
    assert final["carrier_ids"] == [answered]
    await carrier.gateway.event("taken", of="report", sequence=report["sequence"], result=0)
    assert carrier.states(message).count("delivered") == 1


async def test_without_a_report_the_answer_is_the_end(carrier: Carrier) -> None:
    phone = carrier.phone()
    final = await carrier.daemon.final(await carrier.send(phone, "no report", report=False))
    (submit,) = await carrier.submits(phone)
    assert submit["report"] is False
    assert (final["state"], final["carrier_ids"]) == ("accepted", await carrier.ids([submit]))


async def test_the_gateway_is_told_until_when_a_message_is_worth_sending(carrier: Carrier) -> None:
    until_when = (datetime.now(BEIJING) + timedelta(minutes=10)).replace(microsecond=0)
    phone = carrier.phone()
    message = await carrier.send(phone, "soon stale", expires_at=until_when.isoformat())
    assert (await carrier.daemon.final(message))["state"] == "delivered"
    (submit,) = await carrier.submits(phone)
    assert submit["valid"] == until_when.strftime("%y%m%d%H%M%S") + "032+"


async def test_recipients_of_a_job_share_a_submit_and_have_a_message_each(carrier: Carrier) -> None:
    phones = [carrier.phone() for _ in range(80)]
    name = f"{carrier.line.name}-{next(_jobs)}"
    await carrier.daemon.send({"id": name, "to": phones, "text": "致各位：to all of you"})
    wires = [carrier.wire(phone) for phone in phones]
    (submit,) = await carrier.gateway.events("submit", 1, to=wires)
    assert submit["text"] == "致各位：to all of you"
    answered = await carrier.ids([submit])
    for index, phone in enumerate(phones):
        final = await carrier.daemon.final(f"{name}/{index}")
        assert (final["to"], final["state"]) == (phone, "delivered")
        assert final["carrier_ids"] == answered
    # This gateway's reports have one id for all.
    assert len(carrier.gateway.seen("report", id=answered[0])) == len(phones)


async def test_a_list_refused_by_the_gateway_goes_again_one_by_one(carrier: Carrier) -> None:
    result, cause = carrier.line.refused
    phones = [carrier.phone() for _ in range(3)]
    name = f"{carrier.line.name}-{next(_jobs)}"
    await carrier.gateway.change(result=result)
    await carrier.daemon.send({"id": name, "to": phones, "text": "one by one"})
    finals = [await carrier.daemon.final(f"{name}/{index}") for index in range(3)]
    await carrier.gateway.change(result=0)
    await carrier.gateway.events("submit", 1, to=[carrier.wire(phone) for phone in phones])
    for phone, final in zip(phones, finals, strict=True):
        assert (final["state"], final["code"], final["cause"]) == ("rejected", str(result), cause)
        assert final["attempts"] == 1
        assert len(await carrier.submits(phone)) == 1


async def test_a_message_from_a_subscriber_is_published(carrier: Carrier) -> None:
    phone = carrier.phone()
    await carrier.gateway.inbound(carrier.wire(phone), ACCESS + "88", "TD 退订")
    published = await carrier.inbound(phone)
    assert (published["to"], published["ext"]) == (ACCESS + "88", "88")
    assert published["text"] == "TD 退订"
    assert (published["carrier"], published["account"]) == (carrier.line.carrier, carrier.line.name)
    assert (published["parts"], published["complete"]) == (1, True)
    (sent,) = carrier.gateway.seen("inbound", text="TD 退订")
    await carrier.gateway.event("taken", of="inbound", sequence=sent["sequences"][0], result=0)


async def test_a_long_message_from_a_subscriber_is_joined(carrier: Carrier) -> None:
    phone = carrier.phone()
    await carrier.gateway.inbound(carrier.wire(phone), ACCESS, LONG)
    published = await carrier.inbound(phone)
    assert (published["text"], published["ext"]) == (LONG, "")
    (sent,) = carrier.gateway.seen("inbound", text=LONG)
    assert (published["parts"], published["complete"]) == (sent["parts"], True)
    for sequence in sent["sequences"]:
        await carrier.gateway.event("taken", of="inbound", sequence=sequence, result=0)
    assert len([p for p in carrier.daemon.published["inbound"] if p.value["from"] == phone]) == 1


async def test_a_gateway_that_takes_leave_is_logged_in_to_again(carrier: Carrier) -> None:
    side = "callback" if carrier.line.name == "sgip" else "gateway"
    before = len(carrier.gateway.seen("connect", side=side))
    await carrier.gateway.leave()
    await carrier.gateway.event("closed", side=side)
    final = await carrier.daemon.final(await carrier.send(carrier.phone(), "again"), within=10.0)
    assert (final["state"], final["attempts"]) == ("delivered", 1)
    assert len(carrier.gateway.seen("connect", side=side)) == before + 1


async def test_nothing_of_all_this_went_against_the_contract(system: System) -> None:
    """The last of those that share the daemon: it looks at everything they published."""
    assert faults(system.daemon.published, timedelta(hours=8)) == []
    for gateway in system.gateways.values():
        assert gateway.seen("error") == []
        assert [a for a in gateway.seen("taken") if a["result"] != 0] == []
    assert await system.daemon.metric("carrierd_reports_unmatched_total") == 0


async def test_refused_credentials_are_not_tried_again_and_again(
    system: System, tmp_path: Path
) -> None:
    before = {name: len(g.seen("connect", side="gateway")) for name, g in system.gateways.items()}
    listen = free_port()
    accounts = {
        str(line.name): account(line, system.gateways[line.name].port, listen, password="wrong")
        for line in LINES
    }
    daemon = Daemon(tmp_path, config(accounts))
    try:
        await daemon.start(ready=False)
        for line in LINES:
            gateway = system.gateways[line.name]
            refused = await gateway.events("login", before[line.name] + 1, side="gateway")
            assert refused[-1]["status"] > 0
        states = await until_refused(daemon)
        # The first pause after a mere loss of connection would be over long ago.
        await asyncio.sleep(2.0)
        for name, gateway in system.gateways.items():
            assert len(gateway.seen("connect", side="gateway")) == before[name] + 1
        assert all("refused" in error for error in states.values())
        code, body = await daemon.get("/readyz")
        assert code == 503
        assert all(line.carrier in body for line in LINES)
    finally:
        await daemon.close()


async def until_refused(daemon: Daemon) -> dict[str, str]:
    """The last error of every account's bind, once all of them are refused."""
    async with asyncio.timeout(60.0):
        while True:
            shown = (await daemon.status())["accounts"]
            binds = {a["name"]: a["nodes"][0]["binds"][0] for a in shown}
            if all(bind["state"] == "refused" for bind in binds.values()):
                return {name: bind["last_error"] for name, bind in binds.items()}
            await asyncio.sleep(0.02)


async def test_an_sgip_gateway_that_hangs_up_when_idle_is_called_for_the_next_message(
    java_peer: type[JavaPeer], tmp_path: Path
) -> None:
    line = next(line for line in LINES if line.name == "sgip")
    listen = free_port()
    async with java_peer("gateway", "sgip", idle=1, **CREDENTIALS, **back(line, listen)) as gateway:
        daemon = Daemon(tmp_path, config({"sgip": account(line, gateway.port, listen)}))
        carrier = Carrier(line, daemon, gateway)
        try:
            await daemon.start()
            await daemon.follow()
            # More than once where a slow machine has it wait for a login that is on its way.
            await gateway.event("closed", side="gateway")
            while True:
                called = len(gateway.seen("connect", side="gateway"))
                if len(await gateway.events("closed", called, side="gateway")) == called:
                    break
            assert await daemon.metric("carrierd_bind_up", account="sgip") == 1
            assert (await daemon.get("/readyz"))[0] == 200
            final = await daemon.final(await carrier.send(carrier.phone(), "wake up"))
            assert (final["state"], final["attempts"]) == ("delivered", 1)
            assert len(gateway.seen("connect", side="gateway")) == called + 1
        finally:
            await daemon.close()
