"""A fleet from a configuration file, and its HTTP side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from daemon.config import load
from daemon.sim.control import Control
from daemon.sim.fleet import Fleet, FleetError
from protocols.events import Accepted, Bound, Received, Rejected, Reported
from tests.ports import free_port

from .sp import bound, client, connect, part, until

CONFIG = """
[broker]
kind = "local"

[accounts.mobile]
carrier = "mobile"
protocol = "cmpp"
version = "3.0"
login = "901234"
password = "abcd1234"
access_number = "1065"
rate = 100
[[accounts.mobile.nodes]]
name = "m1"
host = "127.0.0.1"
port = {ports[0]}
[[accounts.mobile.nodes]]
name = "m2"
host = "127.0.0.1"
port = {ports[1]}

[accounts.second]
carrier = "mobile"
protocol = "cmpp"
version = "3.0"
login = "901235"
password = "efgh5678"
access_number = "1066"
rate = 100
[[accounts.second.nodes]]
name = "m1"
host = "127.0.0.1"
port = {ports[0]}

[accounts.unicom]
carrier = "unicom"
protocol = "sgip"
version = "1.2"
login = "user"
password = "gipsecret"
node_id = 3025112345
corp_id = "12345"
access_number = "1065"
listen = "0.0.0.0:{ports[2]}"
listen_login = "smg"
listen_password = "gatepass"
listen_allow = ["127.0.0.0/8"]
rate = 100
[[accounts.unicom.nodes]]
name = "u1"
host = "127.0.0.1"
port = {ports[3]}

[accounts.telecom]
carrier = "telecom"
protocol = "smgp"
version = "3.0"
login = "85001234"
password = "shared-secret"
access_number = "1065"
rate = 100
[[accounts.telecom.nodes]]
name = "t1"
host = "127.0.0.1"
port = {ports[4]}

[accounts.broadnet]
carrier = "broadnet"
protocol = "smpp"
version = "3.4"
login = "esme"
password = "password"
access_number = "1065"
rate = 100
report_id = "hex"
[[accounts.broadnet.nodes]]
name = "b1"
host = "127.0.0.1"
port = {ports[5]}

[routes]
mobile = ["mobile"]

[simulate]
report_delay = 0.01
seed = 7
[simulate.accounts.telecom]
throttle = 1.0
"""
NODES = [
    "mobile/m1",
    "mobile/m2",
    "second/m1",
    "unicom/u1",
    "telecom/t1",
    "broadnet/b1",
]


def configured(folder: Path, text: str = CONFIG) -> Path:
    file = folder / "carrierd.toml"
    file.write_text(text.format(ports=[free_port() for _ in range(6)]))
    return file


class Http:
    def __init__(self, fleet: Fleet, session: aiohttp.ClientSession) -> None:
        self.fleet, self.session = fleet, session

    def port(self, node: str) -> int:
        return self.fleet.places[node].gateway.port

    async def faults(self, **body: Any) -> tuple[int, Any]:
        return await self.post("/faults", body)

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self.session.post(path, json=body) as answer:
            return answer.status, await answer.json()

    async def counts(self, query: str = "") -> Any:
        async with self.session.get("/counts" + query) as answer:
            assert answer.status == 200
            return await answer.json()


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    fleet = Fleet(load(configured(tmp_path)))
    control = Control(fleet)
    await fleet.start()
    port = await control.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield Http(fleet, session)
    await control.stop()
    await fleet.stop()


async def test_every_account_can_log_in_at_its_nodes(http: Http) -> None:
    assert list(http.fleet.places) == NODES
    for node, protocol in (
        ("mobile/m1", "cmpp"),
        ("mobile/m2", "cmpp"),
        ("unicom/u1", "sgip"),
        ("telecom/t1", "smgp"),
        ("broadnet/b1", "smpp"),
    ):
        await bound(client(protocol), http.port(node))
    counts = await http.counts()
    assert counts["totals"]["logins"] == counts["totals"]["connections"] == 5
    assert counts["accounts"]["mobile"]["connections"] == 2
    assert len(http.fleet.gateways) == 5


async def test_an_account_s_own_behaviour_goes_before_the_general_one(http: Http) -> None:
    telecom = await bound(client("smgp"), http.port("telecom/t1"))
    telecom.submit(part(1))
    await telecom.got(Rejected)
    mobile = await bound(client(), http.port("mobile/m1"))
    mobile.submit(part(1))
    await mobile.got(Accepted)


async def test_counts_by_node_by_account_and_in_all(http: Http) -> None:
    first = await bound(client(), http.port("mobile/m1"))
    second = await bound(client(), http.port("mobile/m2"))
    first.submit(part(1), part(2))
    second.submit(part(2), part(3))
    await first.got(Reported, 2)
    await second.got(Reported, 2)
    mobile = http.fleet.accounts["mobile"].nodes
    await until(lambda: sum(node.counts.reports_taken for node in mobile) == 4)
    counts = await http.counts("?seconds=1")
    assert counts["nodes"]["mobile/m1"]["submits"] == 2
    account = counts["accounts"]["mobile"]
    assert (account["submits"], account["distinct"], account["reports_taken"]) == (4, 3, 4)
    assert (account["twice"], account["twice_answered"]) == (1, 1)
    assert account["copies"][0]["to"] == part(2).to
    assert 2 <= account["peak_per_second"] <= 4
    assert sum(account["seconds"]["submits"]) == 4
    assert counts["accounts"]["telecom"]["seconds"] == {"start": None, "submits": []}
    assert counts["totals"]["submits"] == 4
    assert "seconds" not in (await http.counts())["accounts"]["mobile"]


async def test_recipients_that_nothing_reached_are_named(http: Http) -> None:
    sp = await bound(client(), http.port("mobile/m1"))
    sp.submit(part(1), part(2))
    await sp.got(Reported, 2)
    asked = [part(number).to for number in (3, 2, 1, 4)]
    status, said = await http.post("/missing", {"account": "mobile", "to": asked})
    assert (status, said) == (200, {"missing": [part(3).to, part(4).to]})
    assert (await http.post("/missing", {"account": "second", "to": asked}))[1]["missing"] == asked
    # What was throttled never got in.
    await http.faults(node="mobile/m1", throttle=1.0)
    sp.submit(part(3))
    await sp.got(Rejected)
    assert (await http.post("/missing", {"account": "mobile", "to": asked}))[1]["missing"] == [
        part(3).to,
        part(4).to,
    ]
    status, said = await http.post("/missing", {"account": "nobody", "to": []})
    assert status == 400
    assert "mobile" in said["allowed"]
    status, said = await http.post("/missing", {"account": "mobile"})
    assert (status, said["field"]) == (400, "to")


async def test_faults_reach_one_node_an_account_or_all(http: Http) -> None:
    assert await http.faults(node="mobile/m2", throttle=1.0) == (200, {"nodes": ["mobile/m2"]})
    places = http.fleet.places
    assert [place.node.behaviour.throttle for place in places.values()] == [0, 1, 0, 0, 1, 0]
    assert (await http.faults(node="mobile", delay=0.5))[1] == {"nodes": ["mobile/m1", "mobile/m2"]}
    assert places["mobile/m2"].node.behaviour.throttle == 1.0
    assert (await http.faults(node="*", loss=0.0, throttle=0.25))[1] == {"nodes": NODES}
    assert {place.node.behaviour.throttle for place in places.values()} == {0.25}


async def test_reset_takes_everything_back(http: Http) -> None:
    place = http.fleet.places["mobile/m1"]
    await http.faults(node="mobile/m1", throttle=1.0, freeze=True, quirks={"report_60": True})
    assert place.gateway.frozen == "deaf"
    assert (await http.counts())["nodes"]["mobile/m1"]["frozen"] == "deaf"
    assert (await http.faults(node="mobile/m1", reset=True))[0] == 200
    assert place.node.behaviour == place.node.configured
    assert place.gateway.frozen is None
    sp = await bound(client(), http.port("mobile/m1"))
    sp.submit(part(1))
    await sp.got(Reported)


async def test_freezing_killing_and_reviving_over_http(http: Http) -> None:
    port = http.port("mobile/m1")
    sp = await bound(client(), port)
    await http.faults(node="mobile/m1", freeze="mute")
    sp.submit(part(1))
    node = http.fleet.places["mobile/m1"].node
    await until(lambda: node.counts.submits == 1)
    assert sp.of(Accepted) == []
    await http.faults(node="mobile/m1", freeze=False)
    await sp.got(Accepted)
    await http.faults(node="mobile/m1", kill=True)
    await until(lambda: sp.closed)
    assert (await http.counts())["nodes"]["mobile/m1"]["up"] is False
    with pytest.raises(ConnectionRefusedError):
        await connect(client(), port)
    await http.faults(node="mobile/m1", revive=True)
    again = await bound(client(), port)
    await http.faults(node="mobile/m1", hang_up=True)
    await until(lambda: again.closed)
    again = await bound(client(), port)
    await http.faults(node="mobile/m1", refuse_logins=5, farewell=True)
    await until(lambda: again.closed)
    refused = await connect(client(), port)
    await until(lambda: refused.closed)
    assert refused.of(Bound) == []


async def test_hanging_up_on_one_account_spares_another_at_the_same_address(http: Http) -> None:
    sp = await bound(client(), http.port("second/m1"))
    await http.faults(node="second", hang_up=True)
    await http.faults(node="mobile", hang_up=True)
    await until(lambda: sp.closed)
    assert http.port("second/m1") == http.port("mobile/m1")
    assert (await http.counts())["nodes"]["second/m1"]["connections_made"] == 0


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({}, "node", "missing"),
        ({"node": 5}, "node", "not a string"),
        ({"node": "nobody"}, "node", "'nobody' is nobody here"),
        ({"node": "*", "nonsense": 1}, "nonsense", "is not known"),
        ({"node": "*", "throttle": 1.5}, "throttle", "Expected `float` <= 1.0"),
        ({"node": "*", "throttle": "all"}, "throttle", "Expected `float`, got `str`"),
        ({"node": "*", "loss": 0.8, "refuse": 0.8}, "", "at most 1 is allowed"),
        ({"node": "*", "undelivered_codes": [5]}, "undelivered_codes[0]", "Expected `str`"),
        ({"node": "unicom", "throttle_status": 256}, "throttle_status", "at most 255 is allowed"),
        ({"node": "*", "undelivered_codes": ["25"], "refuse_logins": 999}, "refuse_logins", "999"),
        ({"node": "*", "undelivered_codes": ["UNDELIV"]}, "undelivered_codes", "0 to 255"),
        ({"node": "mobile", "undelivered_codes": ["UNDELIVERED"]}, "undelivered_codes", "7 char"),
        ({"node": "*", "freeze": "solid"}, "freeze", "'solid' is not known"),
        ({"node": "*", "freeze": ["x"]}, "freeze", "is not known"),
        ({"node": "*", "kill": "yes"}, "kill", "neither true nor false"),
        ({"node": "mobile", "quirks": {"spelling": "plain"}}, "quirks", "unknown field"),
        ({"node": "mobile", "quirks": 5}, "quirks", "Expected `object`"),
        ([], "", "a JSON object"),
    ],
)
async def test_a_malformed_fault_changes_nothing_and_says_what_is_allowed(
    http: Http, body: Any, field: str, said: str
) -> None:
    before = [place.node.behaviour for place in http.fleet.places.values()]
    status, answer = await http.post("/faults", body)
    assert (status, answer["field"]) == (400, field)
    assert said in answer["error"]
    assert [place.node.behaviour for place in http.fleet.places.values()] == before
    if field in ("node", "nonsense", "freeze", "kill"):
        assert answer["allowed"]


async def test_what_is_not_json_is_refused(http: Http) -> None:
    for path in ("/faults", "/mo"):
        async with http.session.post(path, data=b'{"node":') as answer:
            assert answer.status == 400
            assert "not JSON" in (await answer.json())["error"]


async def test_a_subscriber_s_message_is_delivered(http: Http) -> None:
    sp = await bound(client(), http.port("mobile/m1"))
    body = {"account": "mobile", "from": "13912345678", "ext": "12", "text": "TD"}
    answer = {"parts": 1, "to": "106512", "node": "mobile/m1"}
    assert await http.post("/mo", body) == (200, answer)
    (received,) = await sp.got(Received)
    assert (received.sender, received.to, received.content) == ("13912345678", "106512", b"TD")
    body |= {"text": "长" * 100, "to": "10659", "encoding": "gbk", "long": "udh16", "node": "m2"}
    del body["ext"]
    assert (await http.post("/mo", body))[1] == {"parts": 2, "to": "10659", "node": "mobile/m2"}
    later = (await sp.got(Received, 3))[1:]
    assert b"".join(event.content[7:] for event in later).decode("gb18030") == "长" * 100


async def test_sar_goes_without_a_user_data_header(http: Http) -> None:
    sp = await bound(client("smpp"), http.port("broadnet/b1"))
    body = {"account": "broadnet", "from": "13912345678", "text": "长" * 100, "long": "sar"}
    assert (await http.post("/mo", body))[1]["parts"] == 2
    first, second = await sp.got(Received, 2)
    assert (first.sar[1:], second.sar[1:]) == ((2, 1), (2, 2))
    assert not first.udh


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"account": "nobody"}, "account", "'nobody' is nobody here"),
        ({"account": None}, "account", "Expected `str`"),
        ({"from": "+86139"}, "from", "matching regex"),
        ({"text": ""}, "text", "length >= 1"),
        ({"ext": "x"}, "ext", "matching regex"),
        ({"ext": "12345678901234567890"}, "ext", "longer than 21"),
        ({"ext": "1", "to": "1065"}, "ext", "not together with to"),
        ({"node": "m9"}, "node", "'m9' is not one of the account's"),
        ({"long": "sar"}, "long", "SMPP's alone"),
        ({"encoding": "ascii", "text": "长"}, "text", "is not in ASCII"),
        ({"colour": "red"}, "colour", "unknown field"),
    ],
)
async def test_a_malformed_message_is_refused_by_name(
    http: Http, change: dict[str, Any], field: str, said: str
) -> None:
    body = {"account": "mobile", "from": "13912345678", "text": "TD"} | change
    status, answer = await http.post("/mo", body)
    assert (status, answer["field"]) == (400, field)
    assert said in answer["error"]


# What cannot be played


def fleet(folder: Path, old: str, new: str) -> Fleet:
    text = CONFIG.replace(old, new, 1)
    assert text != CONFIG
    return Fleet(load(configured(folder, text)))


def test_gateways_elsewhere_are_not_played(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"accounts\.mobile\.nodes\[0\]\.host: '10\.0\.0\.1'"):
        fleet(tmp_path, '"127.0.0.1"', '"10.0.0.1"')


def test_a_listener_elsewhere_is_not_dialled(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"accounts\.unicom\.listen: '10\.0\.0\.1'"):
        fleet(tmp_path, '"0.0.0.0:', '"10.0.0.1:')


def test_one_address_cannot_speak_two_protocols(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"accounts\.telecom\.nodes\[0\].*speaks smgp, not cmpp"):
        fleet(tmp_path, "{ports[4]}", "{ports[0]}")


def test_one_address_cannot_have_one_login_twice(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"accounts\.second\.nodes\[0\].*'901234' is here already"):
        fleet(tmp_path, "901235", "901234")


async def test_a_taken_address_leaves_nothing_listening(tmp_path: Path) -> None:
    config = load(configured(tmp_path))
    one, two = Fleet(config), Fleet(config)
    await one.start()
    with pytest.raises(OSError, match="in use"):
        await two.start()
    assert not any(gateway.up for gateway in two.gateways)
    await one.stop()


async def test_http_is_for_loopback_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"simulate\.listen: '0\.0\.0\.0' is not loopback"):
        await Control(Fleet(load(configured(tmp_path)))).start("0.0.0.0", 0)
