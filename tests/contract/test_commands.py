"""Contract, section 2: the commands and their exit statuses."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from .gateways import Answer, failed, refused
from .process import COMMAND, ROOT, command, toml, until
from .world import Account, World, job, number, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
VECTORS = ROOT / "tests" / "vectors"
LONG = "测试长短信" * 30

MOBILE: dict[str, Any] = {
    "carrier": "mobile", "protocol": "cmpp", "version": "3.0", "login": "901234",
    "password": "secret", "access_number": "106575257777", "rate": 200,
    "nodes": [{"name": "nj-1", "host": "127.0.0.1", "port": 7890, "binds": 2}],
}  # fmt: skip
UNICOM: dict[str, Any] = {
    "carrier": "unicom", "protocol": "sgip", "version": "1.2", "login": "user",
    "password": "secret", "access_number": "106550101", "rate": 100, "node_id": 3025112345,
    "corp_id": "12345", "listen": "127.0.0.1:8801", "listen_login": "smg",
    "listen_password": "other", "listen_allow": ["127.0.0.0/8"],
    "nodes": [{"name": "u1", "host": "127.0.0.1", "port": 8802}],
}  # fmt: skip


def config(tmp_path: Path, **accounts: dict[str, Any]) -> Path:
    file = tmp_path / "carrierd.toml"
    table = {
        "daemon": {"name": "x", "state_dir": str(tmp_path / "state")},
        "broker": {"kind": "local"},
        "accounts": accounts,
        "routes": {"mobile": [name for name, a in accounts.items() if a is not UNICOM]},
    }
    file.write_text("\n".join(toml(table)) + "\n")
    return file


# check


async def test_a_sound_file_has_status_zero_and_shows_capacities(tmp_path: Path) -> None:
    ended = await command("check", "--config", str(config(tmp_path, xm=MOBILE, xu=UNICOM)))
    assert ended.status == 0
    for word in ("xm", "xu", "nj-1", "u1", "20 ms", "50 ms", "100 ms"):
        assert word in ended.out
    assert re.search(r"xm +200 +1600 +640 +320", ended.out)
    assert "secret" not in ended.out + ended.err


async def test_a_rate_above_the_capacity_is_warned_of(tmp_path: Path) -> None:
    ended = await command("check", "--config", str(config(tmp_path, xm={**MOBILE, "rate": 5000})))
    assert ended.status == 0
    assert "warning" in ended.out + ended.err


async def test_the_share_of_an_instance_is_shown_beside_the_whole(tmp_path: Path) -> None:
    """Daemons that share an account get shares of rate and binds by configuration (6.4)."""
    shared = {**MOBILE, "shares": {"x": 1, "y": 1}}
    ended = await command("check", "--config", str(config(tmp_path, xm=shared)))
    assert ended.status == 0
    assert re.search(r"xm +x +100 +1 ", ended.out)
    assert re.search(r"xm +y +100 +1 ", ended.out)
    assert re.search(r"xm +\S+ +200 +2 ", ended.out)
    assert re.search(r"xm +100 +800 +320 +160", ended.out), "the capacity is that of the share"


async def test_a_round_trip_can_be_measured(four: World) -> None:
    ended = await four.daemon.run("check", "--connect")
    assert ended.status == 0
    assert "measured" in ended.out


def without(account: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in account.items() if k != key}


FAULTS = [
    *(
        (f"{key}", without(MOBILE, key))
        for key in (
            "carrier", "protocol", "version", "login", "password", "access_number", "rate", "nodes",
        )
    ),
    *(
        (f"{key}", without({**UNICOM, "carrier": "mobile"}, key))
        for key in (
            "node_id", "corp_id", "listen", "listen_login", "listen_password", "listen_allow",
        )
    ),
    ("windw", {**MOBILE, "windw": 3}),
    ("window", {**MOBILE, "window": 0}),
    ("rate", {**MOBILE, "rate": -1}),
    ("rate", {**MOBILE, "rate": "fast"}),
    ("protocol", {**MOBILE, "protocol": "cmp"}),
    ("version", {**MOBILE, "version": "4.0"}),
    ("carrier", {**MOBILE, "carrier": "china"}),
    ("access_number", {**MOBILE, "access_number": "1065x"}),
    ("udhi", {**MOBILE, "udhi": 2}),
    ("long", {**MOBILE, "long": "udh32"}),
    ("encoding", {**MOBILE, "encoding": "latin"}),
    ("answer_within", {**MOBILE, "answer_within": 0}),
    ("bind_mode", {**MOBILE, "bind_mode": "rx"}),
    ("md5_pad", {**MOBILE, "md5_pad": 1}),
    ("throttle_codes", {**MOBILE, "throttle_codes": ["8"]}),
    ("max_destinations", {**MOBILE, "max_destinations": 100}),
    ("nodes", {**MOBILE, "nodes": []}),
    ("port", {**MOBILE, "nodes": [{"name": "a", "host": "h", "port": 70000}]}),
    ("host", {**MOBILE, "nodes": [{"name": "a", "port": 7000}]}),
    ("listen_allow", {**UNICOM, "carrier": "mobile", "listen_allow": ["127.0.0.0/33"]}),
    ("shares", {**MOBILE, "shares": {"y": 1}}),
    ("shares", {**MOBILE, "shares": {"x": 1, "y": -1}}),
    ("shares", {**MOBILE, "shares": {"x": 1, "y": 1, "z": 1}}),
    ("shares", {**MOBILE, "rate": 2, "shares": {"x": 3, "y": 1}}),
]  # fmt: skip


async def test_every_fault_is_a_line_with_file_line_and_key(tmp_path: Path) -> None:
    """Each fault in an account of its own, all in one file."""
    accounts = {}
    for place, (_, account) in enumerate(FAULTS):
        apart = {"listen": f"127.0.0.1:{9000 + place}"} if "listen" in account else {}
        accounts[f"a{place}"] = account | apart
    file = config(tmp_path, **accounts)
    ended = await command("check", "--config", str(file))
    assert ended.status == 2
    lines = ended.err.splitlines()
    for place, (key, account) in enumerate(FAULTS):
        found = [line for line in lines if re.search(rf"accounts\.a{place}\b", line)]
        assert len(found) == 1, (key, account, found)
        form = rf"{re.escape(str(file))}:(\d+): accounts\.a{place}\S*{key}\S*: .+, "
        assert re.match(form, found[0]), found[0]
    assert len(lines) == len(FAULTS)


async def test_all_faults_are_told_at_once_and_run_refuses_too(tmp_path: Path) -> None:
    file = config(tmp_path, xm={**MOBILE, "rate": 0, "window": "x", "colour": 1})
    with file.open("a") as stream:
        stream.write("[uncertian]\nhold = 1.0\n[daemon.x]\n")
    for name in ("check", "run"):
        ended = await command(name, "--config", str(file))
        assert ended.status == 2
        lines = [line for line in ended.err.splitlines() if line.startswith(str(file))]
        assert len(lines) == 5
        text = file.read_text().splitlines()
        for line in lines:
            place, key = re.match(rf"{re.escape(str(file))}:(\d+): (\S+):", line).groups()
            assert key.rpartition(".")[2] in text[int(place) - 1]


async def test_a_file_that_is_no_toml_or_not_there_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[daemon]\nname = \n")
    for path in (file, tmp_path / "none.toml"):
        for name in ("check", "run"):
            ended = await command(name, "--config", str(path))
            assert ended.status == 2
            assert str(path) in ended.err
            assert "Traceback" not in ended.err


# decode


def vectors() -> list[dict[str, Any]]:
    found = []
    for name in ("cmpp20", "cmpp30", "sgip12", "smgp30", "smpp34"):
        found += json.loads((VECTORS / f"{name}.json").read_text())
    return [v for v in found if v["pdu"] != "report_body"]


def wanted(vector: dict[str, Any]) -> dict[str, Any]:
    """The vector's fields as the contract wants them shown."""
    fields = dict(vector["fields"])
    fields.pop("secret", None)
    if vector["pdu"].endswith("_resp"):
        fields.pop("authenticator_source_hex", None)  # goes into the digest, not on the wire
    for key in ("password", "login_password"):
        if key in fields:
            fields[key] = "***"
    return fields


async def test_golden_vectors_are_decoded_with_their_names() -> None:
    by: dict[str, list[dict[str, Any]]] = {}
    for vector in vectors():
        by.setdefault(f"{vector['protocol']}-{vector['version']}", []).append(vector)
    assert set(by) == {"cmpp-2.0", "cmpp-3.0", "sgip-1.2", "smgp-3.0", "smpp-3.4"}
    for version, group in by.items():
        data = "".join(v["hex"] for v in group).encode()
        ended = await command("decode", version, "-", "--json", stdin=data)
        assert ended.status == 0, ended.err
        offset = 0
        pdus = json.loads(ended.out)
        assert len(pdus) == len(group)
        for pdu, vector in zip(pdus, group, strict=True):
            assert set(pdu) == {"pdu", "version", "offset", "length", "fields"}
            assert (pdu["pdu"], pdu["offset"]) == (vector["pdu"], offset)
            assert pdu["length"] == len(vector["hex"]) // 2
            assert pdu["version"] == vector["version"]
            offset += pdu["length"]
            expected = wanted(vector)
            shown = {key: pdu["fields"].get(key) for key in expected}
            if vector["protocol"] == "smgp" and "tlv" in shown:
                shown["tlv"] = [[one["tag"], one["value_hex"]] for one in shown["tlv"]]
            assert shown == expected, vector["id"]


async def test_a_password_is_never_shown() -> None:
    bind = next(
        v
        for v in vectors()
        if len(v["fields"].get("password", "")) > 5 and v["fields"]["password"] != "password"
    )
    for more in ([], ["--json"]):
        ended = await command("decode", "smpp", bind["hex"], *more)
        assert ended.status == 0
        assert bind["fields"]["password"] not in ended.out
        assert "***" in ended.out


async def test_the_newest_version_is_meant_when_none_is_said() -> None:
    bind = next(v for v in vectors() if v["protocol"] == "cmpp" and v["version"] == "3.0")
    ended = await command("decode", "cmpp", bind["hex"], "--json")
    assert json.loads(ended.out)[0]["version"] == "3.0"


@pytest.mark.parametrize(
    ("protocol", "octets", "good", "offset"),
    [
        ("cmpp-3.0", "0000000c0000000800000001" + "0000000b0000000800000001", 1, 12),
        ("cmpp-3.0", "0000000c0000000800000001" + "0000000c00000008", 1, 12),
        ("cmpp-3.0", "0000000c0000000800000001" + "00", 1, 12),
        ("smpp-3.4", "00000010000000150000000000000001" + "zz", 1, 16),
        ("sgip", "", 0, 0),
    ],
)
async def test_a_wrong_octet_is_two_with_its_offset_after_what_came_before(
    protocol: str, octets: str, good: int, offset: int
) -> None:
    ended = await command("decode", protocol, "-", "--json", stdin=octets.encode())
    assert ended.status == 2
    assert len(json.loads(ended.out)) == good
    found = re.search(r"offset (\d+)", ended.err)
    if octets:
        assert found is not None
        assert offset <= int(found[1]) <= len(octets) // 2


# send, tail


async def test_send_stores_one_job_from_the_command_line(four: World) -> None:
    to = number()
    ended = await four.daemon.run("send", "--to", to, "--text", "您好", "--wait")
    assert ended.status == 0, ended.err
    (submit,) = four.mobile.far.to(to)
    assert submit.text == "您好"
    last = json.loads(ended.out.splitlines()[-1]) if ended.out.startswith("{") else None
    if last is not None:
        assert (last["state"], last["to"]) == ("delivered", to)


async def test_send_takes_json_lines_from_its_input(four: World) -> None:
    jobs = [job(number()), job(number("telecom"))]
    data = "\n".join(map(json.dumps, jobs)).encode()
    ended = await four.daemon.run("send", "--file", "-", stdin=data)
    assert ended.status == 0
    for one in jobs:
        assert (await four.daemon.final(f"{one['id']}/0"))["state"] == "delivered"


async def test_send_takes_json_lines_from_a_file(four: World, tmp_path: Path) -> None:
    one = job([number(), number()])
    file = tmp_path / "jobs"
    file.write_text(json.dumps(one) + "\n")
    ended = await four.daemon.run("send", "--file", str(file), "--wait")
    assert ended.status == 0
    assert (await four.daemon.final(f"{one['id']}/1"))["state"] == "delivered"


async def test_send_and_wait_is_one_when_something_was_not_delivered(four: World) -> None:
    bad = number()
    four.mobile.far.on(bad, failed("UNDELIV"))
    ended = await four.daemon.run("send", "--to", f"{bad},{number()}", "--text", "x", "--wait")
    assert ended.status == 1
    dead = json.dumps({"id": "x", "to": []}).encode()
    ended = await four.daemon.run("send", "--file", "-", "--wait", stdin=dead)
    assert ended.status == 1


@pytest.mark.parametrize("fate", ["delivered", "undelivered"])
async def test_send_and_wait_of_a_job_that_is_over_says_what_became_of_it(
    four: World, fate: str
) -> None:
    to = [number(), number()]
    if fate == "undelivered":
        four.mobile.far.on(to[1], failed("UNDELIV"))
    one = ("send", "--id", f"over-{fate}", "--to", ",".join(to), "--wait", "--text")
    first = await four.daemon.run(*one, "x")
    again = await four.daemon.run(*one, "x", within=10.0)
    assert first.status == again.status == (0 if fate == "delivered" else 1)
    finals = sorted((e for e in first.lines if e["final"]), key=lambda e: str(e["message"]))
    assert again.lines == finals
    assert finals[1]["state"] == fate
    other = await four.daemon.run(*one, "y", within=10.0)
    assert (other.status, [e["field"] for e in other.lines]) == (1, ["id"])


async def test_tail_prints_what_was_published(four: World) -> None:
    one = job(number())
    await four.daemon.send(one)
    await four.daemon.put(b"not a job")
    await four.daemon.final(f"{one['id']}/0")
    await until(lambda: four.daemon.published["dead"])
    ended = await four.daemon.run("tail", "reports")
    assert ended.status == 0
    mine = [event for event in ended.lines if event["job"] == one["id"]]
    assert [event["state"] for event in mine] in (["accepted", "delivered"], ["delivered"])
    last = await four.daemon.run("tail", "reports", "--from", str(len(ended.lines) - 1))
    assert last.lines[0] == ended.lines[-1]
    assert (await four.daemon.run("tail", "dead")).lines
    assert (await four.daemon.run("tail", "inbound")).status == 0


async def test_tail_follows(four: World) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "tail", "reports", "--follow", "--from", "0", "--config",
        str(four.daemon.file), cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        one = job(number())
        await four.daemon.send(one)
        assert process.stdout is not None
        async with asyncio.timeout(30.0):
            while one["id"].encode() not in (line := await process.stdout.readline()):
                assert line
    finally:
        process.terminate()
        await process.communicate()


# a running daemon


async def test_a_running_daemon_answers_over_its_socket_and_logs_who_asked(four: World) -> None:
    tap = asyncio.create_task(four.daemon.run("wiretap", "mobile", "--json", "--for", "5"))
    await until(lambda: '"event": "wiretap"' in four.daemon.log.read_text(), what="tapped")
    shown, held, let_go, level = await asyncio.gather(
        four.daemon.run("status", "--json"),
        four.daemon.run("bind", "pause", "mobile/none"),
        four.daemon.run("bind", "resume", "mobile"),
        four.daemon.run("loglevel", "info", "--for", "0.1"),
    )
    one = job(number(), "wiretapped")
    await four.daemon.send(one)
    assert [ended.status for ended in (shown, held, let_go, level)] == [0, 1, 0, 0]
    status = json.loads(shown.out)
    assert {account["name"] for account in status["accounts"]} == set(four.accounts)
    assert held.err == "carrierd bind: mobile has no node none, it has mobile-1\n"
    logged = [json.loads(line) for line in four.daemon.log.read_text().splitlines()]
    [said] = [line for line in logged if line["event"] == "log level set" and "uid" in line]
    assert (said["to"], said["uid"]) == ("info", os.getuid())
    seen = (await tap).lines
    assert {"submit", "submit_resp", "deliver", "deliver_resp"} <= {line["pdu"] for line in seen}
    assert one["to"] not in json.dumps(seen)


# trace


async def test_a_trace_shows_the_whole_life(four: World) -> None:
    to = number()
    four.mobile.far.on(to, refused(8), Answer())
    one = job(to)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    ended = await four.daemon.run("trace", "--job", one["id"], "--json")
    assert ended.status == 0
    (traced,) = json.loads(ended.out)
    assert {"message", "job", "to", "state", "final", "steps"} <= set(traced)
    assert (traced["message"], traced["job"]) == (f"{one['id']}/0", one["id"])
    assert (traced["to"], traced["state"], traced["final"]) == (to, "delivered", True)
    for step in traced["steps"]:
        assert {"at", "step", "part", "attempt", "node", "code"} <= set(step)
    times = [step["at"] for step in traced["steps"]]
    assert times == sorted(times)
    codes = [step["code"] for step in traced["steps"]]
    assert "8" in codes
    assert "DELIVRD" in codes
    for flag, value in (
        ("--message", f"{one['id']}/0"), ("--to", to), ("--to", f"+86 {to}"),
        ("--carrier-id", last["carrier_ids"][0]),
        ("--carrier-id", str(int(last["carrier_ids"][0], 16))),
        ("--carrier-id", last["carrier_ids"][0][2:].upper()),
    ):  # fmt: skip
        assert await four.daemon.trace(flag, value) == [traced], (flag, value)
    text = await four.daemon.run("trace", "--to", to)
    assert (text.status, to in text.out) == (0, True)


@pytest.mark.parametrize("carrier", ["unicom", "telecom", "broadnet"])
async def test_a_trace_finds_any_carriers_id(four: World, carrier: str) -> None:
    four.broadnet.gateway.hexadecimal = True
    one = job(number(carrier), LONG)
    await four.daemon.send(one)
    last = await four.daemon.final(f"{one['id']}/0")
    four.broadnet.gateway.hexadecimal = False
    for spelled in last["carrier_ids"]:
        (traced,) = await four.daemon.trace("--carrier-id", spelled)
        assert traced["message"] == f"{one['id']}/0"
    if carrier == "broadnet":
        assert await four.daemon.trace("--carrier-id", str(int(last["carrier_ids"][0], 16)))


async def test_a_trace_that_finds_nothing_is_one(four: World, tmp_path: Path) -> None:
    ended = await four.daemon.run("trace", "--job", "nobody", "--json")
    assert (ended.status, json.loads(ended.out)) == (1, [])
    assert (await four.daemon.run("trace", "--to", "13800000000")).status == 1
    file = config(tmp_path, xm=MOBILE)
    ended = await command("trace", "--config", str(file), "--job", "x", "--json")
    assert ended.status == 1, "a daemon that never ran has no messages"


# topics


async def test_topics_are_checked_and_made(tmp_path: Path) -> None:
    file = config(tmp_path, xm=MOBILE)
    ended = await command("topics", "--config", str(file))
    assert ended.status != 0
    ended = await command("topics", "--config", str(file), "--create")
    assert ended.status == 0
    ended = await command("topics", "--config", str(file))
    assert ended.status == 0
    names = [line.split()[0] for line in ended.out.splitlines()]
    assert names == [
        "sms.jobs.urgent", "sms.jobs", "sms.reports", "sms.inbound", "sms.dead", "sms.parked",
        "sms.state",
    ]  # fmt: skip


async def test_a_daemon_on_the_local_broker_has_made_its_topics(four: World) -> None:
    ended = await four.daemon.run("topics")
    assert (ended.status, "missing" in ended.out) == (0, False)
    assert len(ended.out.splitlines()) == 7


# stop


async def test_a_stop_is_zero_when_it_is_stored_beside_a_daemon_and_without_one(
    four: World, tmp_path: Path
) -> None:
    file = config(tmp_path, xm=MOBILE)
    for flag, name in (("--job", "nobodys"), ("--tenant", "nobody"), ("--account", "xm")):
        ended = await command("stop", "--config", str(file), flag, name)
        assert (ended.status, ended.err) == (0, "")
        assert len(ended.out.splitlines()) == 1
        assert name in ended.out
    ended = await four.daemon.run("stop", "--tenant", "nobody")
    assert (ended.status, ended.err) == (0, "")
    one = job(number())
    await four.daemon.send(one)
    assert (await four.daemon.final(f"{one['id']}/0"))["state"] == "delivered"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--job"],
        ["--job", "a", "--tenant", "b"],
        ["--tenant", "a", "--account", "xm"],
        ["--job", ""],
        ["--job", "j" * 65],
        ["--account", "none"],
        ["--message", "j/0"],
    ],
)
async def test_a_stop_of_nothing_that_can_be_stopped_is_two(
    tmp_path: Path, arguments: list[str]
) -> None:
    ended = await command("stop", "--config", str(config(tmp_path, xm=MOBILE)), *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err
    assert "Traceback" not in ended.err


async def test_a_stop_with_a_bad_configuration_is_two(tmp_path: Path) -> None:
    file = config(tmp_path, xm={**MOBILE, "windw": 3})
    ended = await command("stop", "--config", str(file), "--job", "j")
    assert ended.status == 2
    assert re.search(r"\.toml:\d+: accounts\.xm\.windw: ", ended.err)


async def test_a_stop_that_no_broker_stores_is_one(tmp_path: Path) -> None:
    file = config(tmp_path, xm=MOBILE)
    text = file.read_text().replace('kind = "local"', 'kind = "kafka"\nbootstrap = ["127.0.0.1:1"]')
    file.write_text(text)
    ended = await command("stop", "--config", str(file), "--job", "j", within=60.0)
    assert (ended.status, ended.out) == (1, "")
    assert "127.0.0.1:1" in ended.err


async def test_the_module_is_the_same_program() -> None:
    assert (await command("--version")).status == 0
    assert (await command("nonsense")).status == 2


# logs


async def test_logs_are_json_and_neither_numbers_nor_texts_nor_passwords_are_in_them(
    tmp_path: Path,
) -> None:
    account = Account("m", "cmpp", "mobile", answer_within=0.4)
    async with world(tmp_path, account, uncertain={"hold": 0.2}) as w:
        secret, to = "秘密内容XYZZY", number()
        account.far.on(to, refused(8), Answer(close=True), refused(13))
        bad = {**job(to, secret), "colour": "red"}
        await w.daemon.send(
            job(to, secret), bad, job("13800x", secret), job(to, secret, ext="9" * 19)
        )
        await w.daemon.put(f'{{"text":"{secret}","to":"{to}"'.encode())
        account.gateway.spawn(account.gateway.inbound(to, account.far.access_number, b"\0Q"))
        await asyncio.sleep(1.5)
        _, status = await w.daemon.get("/status")
        _, metrics = await w.daemon.get("/metrics")
        await w.daemon.signal()
        log = w.daemon.log.read_text()
        assert log.strip()
        for line in log.splitlines():
            json.loads(line)
        for text in (log, status, metrics):
            for private in (to, secret, "XYZZY", account.far.password):
                assert private not in text


async def test_nothing_that_the_daemon_did_breaks_the_contract(four: World) -> None:
    assert four.faults() == []
