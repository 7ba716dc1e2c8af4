"""What operators tell a running daemon: pause, drain, resume, and what they see of it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog
from structlog.testing import capture_logs

from daemon import logs
from daemon.cli import main
from tests.contract.gateways import Answer, Report
from tests.contract.process import until
from tests.contract.world import Account, job, number

from .whole import Whole, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What the daemon logs, kept apart from what commands print."""
    with capture_logs() as lines:
        yield lines


class Operator:
    """Commands, run beside the daemon's loop."""

    def __init__(self, there: Whole, capsys: pytest.CaptureFixture[str]) -> None:
        self.there = there
        self.capsys = capsys

    async def run(self, command: str, *arguments: str) -> tuple[int, str, str]:
        line = [command, *arguments, "--config", str(self.there.file)]
        status = await asyncio.to_thread(main, line)
        out, err = self.capsys.readouterr()
        return status, out, err

    async def says(self, command: str, *arguments: str) -> str:
        status, out, err = await self.run(command, *arguments)
        assert status == 0, err
        return out

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.says("status", "--json"))
        return found

    async def account(self, name: str) -> dict[str, Any]:
        accounts: list[dict[str, Any]] = (await self.status())["accounts"]
        return next(one for one in accounts if one["name"] == name)


def two(**keys: Any) -> Account:
    return Account("m", "cmpp", "mobile", nodes=2, **keys)


async def sent(there: Whole, count: int, **more: Any) -> list[dict[str, Any]]:
    jobs = [job(number(), **more) for _ in range(count)]
    await there.take(*jobs)
    return jobs


async def delivered(there: Whole, jobs: list[dict[str, Any]]) -> None:
    for one in jobs:
        await there.state(one, "delivered")


def reached(account: Account) -> dict[str, int]:
    """Submits by node."""
    found = dict.fromkeys((gateway.name for gateway in account.gateways), 0)
    for submit in account.far.submits:
        found[submit.node] += 1
    return found


async def test_a_paused_node_takes_nothing_and_stays_logged_in_until_it_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    m = two()
    async with whole(tmp_path, m) as there:
        operator = Operator(there, capsys)
        said = await operator.says("bind", "pause", "m/m-1")
        assert "m/m-1: paused, 1 bind, 0 submits unanswered" in said
        await delivered(there, await sent(there, 20))
        assert reached(m) == {"m-1": 0, "m-2": 20}
        assert len(m.gateways[0].bound) == 1
        first, second = (await operator.account("m"))["nodes"]
        assert first["held"]["how"] == "paused"
        assert [bind["why"] for bind in first["binds"]] == ["paused"]
        assert first["binds"][0]["state"] == "bound"
        assert second["held"] is None
        there.config["accounts"]["m"]["rate"] = 900
        there.reload()
        await delivered(there, await sent(there, 10))
        assert reached(m) == {"m-1": 0, "m-2": 30}
        assert "in service again" in await operator.says("bind", "resume", "m/m-1")
        assert "was not held" in await operator.says("bind", "resume", "m/m-1")
        await delivered(there, await sent(there, 60))
        back = reached(m)["m-1"]
        assert 0 < back < 30, "its share grows slowly"


async def test_a_drained_account_answers_for_what_it_wrote_and_logs_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    m, other = two(answer_within=3.0), Account("o", "smgp", "telecom")
    m.far.default = Answer(after=0.3, reports=(Report(after=0.0),))
    async with whole(tmp_path, m, other, routes={"mobile": ["m", "o"]}) as there:
        operator = Operator(there, capsys)
        first = await sent(there, 8)
        await until(lambda: len(m.far.submits) == 8, what="written")
        said = await operator.says("bind", "drain", "m")
        assert "m: drained, 2 binds, 8 submits unanswered" in said
        later = await sent(there, 5)
        await delivered(there, later)
        assert all(there.of(one)[-1]["account"] == "o" for one in later)
        assert "m: logged out" in await operator.says("bind", "drain", "m", "--wait", "5")
        await delivered(there, first)
        assert all(there.of(one)[-1]["attempts"] == 1 for one in first)
        assert len(m.far.submits) == 8
        shown = await operator.account("m")
        states = [bind["state"] for node in shown["nodes"] for bind in node["binds"]]
        assert states == ["closed", "closed"]
        there.reload()
        await asyncio.sleep(0.1)
        assert not any(gateway.bound for gateway in m.gateways)
        status, _, err = await operator.run("bind", "resume", "m/m-1")
        assert (status, "held as a whole" in err) == (1, True)
        await operator.says("bind", "resume", "m")
        await until(lambda: all(gateway.bound for gateway in m.gateways), what="logged in")
        back = await sent(there, 4)
        await delivered(there, back)
        assert {there.of(one)[-1]["account"] for one in back} == {"m"}


async def test_messages_of_a_paused_account_wait_and_say_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], logged: list[Any]
) -> None:
    m = two()
    async with whole(tmp_path, m) as there:
        operator = Operator(there, capsys)
        await operator.says("bind", "pause", "m")
        waiting = await sent(there, 3)
        await asyncio.sleep(0.1)
        shown = await operator.account("m")
        assert (shown["waiting"], shown["why"], m.far.submits) == (3, "paused", [])
        reasons = (await operator.status())["not_ready"]
        assert reasons == ["carrier mobile: no usable account of m (paused)"]
        blocked = there.app.tally.blocked
        await until(lambda: blocked["m", "paused"] > 0, what="counted")
        assert there.app.pool.held("m", "m-1") == 1
        [held] = [line for line in logged if line["event"] == "held"]
        assert (held["account"], held["how"], held["uid"]) == ("m", "paused", os.getuid())
        await operator.says("bind", "resume", "m")
        await delivered(there, waiting)


async def test_a_daemon_that_stops_waits_for_what_a_paused_account_is_owed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    m = two(answer_within=3.0)
    m.far.default = Answer(after=0.4, reports=(Report(after=0.0),))
    async with whole(tmp_path, m) as there:
        jobs = await sent(there, 4)
        await until(lambda: len(m.far.submits) == 4, what="written")
        await Operator(there, capsys).says("bind", "pause", "m")
        assert await there.drain() == 0
        assert all("uncertain" not in there.states(one) for one in jobs)
        assert not (tmp_path / "state" / "control.sock").exists()


async def test_a_bind_that_was_closed_idle_is_held_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    u = Account("u", "sgip", "unicom")
    async with whole(tmp_path, u) as there:
        operator = Operator(there, capsys)
        [bind] = there.app.pool.binds["u"]
        for how, state in (("pause", "idle"), ("drain", "closed")):
            u.gateway.drop()
            await until(lambda: bind.state == "idle", what="idle")
            await operator.says("bind", how, "u")
            one = job(number("unicom"))
            await there.take(one)
            await asyncio.sleep(0.1)
            assert (bind.state, there.of(one), u.gateway.connections) == (state, [], [])
            await operator.says("bind", "resume", "u")
            await there.state(one, "delivered")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quiet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    """A daemon for tests that change nothing about it."""
    there = tmp_path_factory.mktemp("quiet")
    async with whole(there, two(), Account("s", "smpp", "broadnet")) as opened:
        yield opened


async def test_what_cannot_be_done_says_why(
    quiet: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = Operator(quiet, capsys)
    status, _, err = await operator.run("bind", "pause", "nobody")
    assert (status, err) == (1, "carrierd bind: no account nobody, there are m, s\n")
    status, _, err = await operator.run("wiretap", "m", "--node", "x")
    assert (status, err) == (1, "carrierd wiretap: m has no node x, it has m-1, m-2\n")
    status, _, err = await operator.run("bind", "pause", "m", "--wait", "1")
    assert status == 2


async def test_status_shows_accounts_and_binds_without_colours_in_a_pipe(
    quiet: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = await Operator(quiet, capsys).says("status")
    lines = shown.splitlines()
    assert lines[0].startswith("carrierd life ")
    assert lines[0].endswith("ready")
    assert lines[1].split() == [
        "state", "since", "waiting", "uncertain", "parked", "rate", "window", "why"
    ]  # fmt: skip
    assert lines[2].startswith("m (mobile, cmpp)")
    assert "2/2 up" in lines[2]
    assert lines[3].split()[0] == "m-1"
    assert "bound" in lines[3]
    assert "\x1b" not in shown


async def test_a_terminal_is_shown_colours_again_and_again(quiet: Whole) -> None:
    ours, theirs = pty.openpty()
    watch = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon", "status", "--watch", "0.1",
        "--config", str(quiet.file),
        stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"},
        # What a shell starts in the background, this suite say, does not heed Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = b""

    def read() -> None:
        nonlocal shown
        with suppress(BlockingIOError, OSError):
            shown += os.read(ours, 1 << 16)

    def often() -> bool:
        read()
        return shown.count(b"carrierd life") > 2

    def ended() -> bool:
        read()  # who writes to a terminal that nobody reads does not get to end
        return watch.returncode is not None

    try:
        await until(often, what=lambda: shown)
        watch.send_signal(signal.SIGINT)
        await until(ended, what="the end")
        assert watch.returncode == 130
        read()
    finally:
        if watch.returncode is None:
            watch.kill()
            await watch.wait()
        os.close(ours)
    assert shown.startswith(b"\x1b[?1049h")
    assert shown.endswith(b"\x1b[?1049l")
    assert b"\x1b[32mready\x1b[0m" in shown


async def test_a_capture_is_its_owners_and_holds_what_passed(
    quiet: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "seen.pcap"
    operator = Operator(quiet, capsys)
    tap = asyncio.create_task(operator.run("wiretap", "m", "--pcap", str(file), "--for", "0.4"))
    await until(lambda: quiet.app.taps._open, what="tapped")
    one = job("13812345678", "Guten Morgen")
    await quiet.take(one)
    await delivered(quiet, [one])
    status, out, err = await tap
    assert (status, out) == (0, "")
    assert re.fullmatch(r"carrierd wiretap: \d+ PDUs\n", err)
    assert os.stat(file).st_mode & 0o777 == 0o600
    octets = file.read_bytes()
    for secret in (b"12345678", b"Guten", b"secret-1"):
        assert secret not in octets
    assert b"138****5678" in octets
    assert b"DELIVRD" in octets


async def test_the_log_level_is_another_for_a_while(
    quiet: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    usual, wrapper = logs.level(), structlog.get_config()["wrapper_class"]
    try:
        said = await Operator(quiet, capsys).says("loglevel", "debug", "--for", "0.2")
        assert said == "log level debug for 0.2 s\n"
        assert logs.level() == "debug"
        await until(lambda: logs.level() == usual, what="as before")
    finally:
        logs.set_level(usual)
        structlog.configure(wrapper_class=wrapper)


def objects(said: str) -> Iterator[Any]:
    """One after the other: two commands in one process may end their lines after both began."""
    decode = json.JSONDecoder().raw_decode
    while said := said.lstrip():
        one, end = decode(said)
        yield one
        said = said[end:]


async def test_a_wiretap_shows_pdus_and_hides_what_is_nobodys_business(
    quiet: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = Operator(quiet, capsys)
    taps = [
        asyncio.create_task(operator.run("wiretap", name, "--json", "--for", "0.5"))
        for name in ("m", "s")
    ]
    await until(lambda: len(quiet.app.taps._open) == 2, what="tapped")
    jobs = [job("13812345678", "Guten Morgen"), job("19212345678", "Guten Morgen")]
    await quiet.take(*jobs)
    await delivered(quiet, jobs)
    out = "".join([(await tap)[1] for tap in taps])
    seen = list(objects(out))
    for pdu, way in (
        ("submit", "out"), ("submit_resp", "in"), ("deliver", "in"), ("deliver_resp", "out"),
        ("submit_sm", "out"), ("submit_sm_resp", "in"), ("deliver_sm", "in"),
    ):  # fmt: skip
        assert [one for one in seen if (one["pdu"], one["dir"]) == (pdu, way)], pdu
    submit = next(one["fields"] for one in seen if one["pdu"] == "submit")
    assert submit["dest_terminal_id"] == ["138****5678"]
    assert submit["msg_content_hex"] == "*** (12 octets)"
    report = next(one["fields"] for one in seen if one["pdu"] == "deliver")["report"]
    assert (report["stat"], report["dest_terminal_id"]) == ("DELIVRD", "138****5678")
    for secret in ("12345678", "Guten", b"Guten".hex(), "secret"):
        assert secret not in out
    assert all(link.tap is None for link in quiet.app.engine.of_link)
