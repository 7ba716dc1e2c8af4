"""`carrierd demo` as a newcomer runs it, and what its verdict is worth."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from daemon.demo.play import Demo, well
from daemon.demo.settings import Settings
from daemon.demo.stage import Stage, StageError
from daemon.demo.traffic import MIXED, Traffic

ROOT = Path(__file__).parents[3]
CARRIERS = {"mobile", "unicom", "telecom", "broadnet"}
WITHIN = 60.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "daemon", "demo", *arguments]


def own_place(directory: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(directory), "COLUMNS": "80"}


def processes_of(directory: Path) -> list[str]:
    """Command lines that name this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(directory) in line:
                found.append(line)
    return found


def test_everything_sent_arrives_once_and_json_is_all_there_is_on_stdout(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--messages", "60", "--rate", "40", "--json"),
        capture_output=True,
        cwd=ROOT,
        env=own_place(tmp_path),
        timeout=WITHIN,
    )
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    assert done.stdout.count(b"\n") == 1
    assert (result["messages"], result["delivered"]) == (60, 60)
    assert (result["lost"], result["duplicated"]) == (0, 0)
    assert set(result["carriers"]) == CARRIERS
    for row in result["carriers"].values():
        assert row["messages"] == row["delivered"] == 15
        assert row["parts"] == 20, "a third of the texts is long"
        assert 0 <= row["submit_ms"][0] <= row["submit_ms"][1]
        # The gateways answer after 50 ms and report half a second later.
        assert 550 <= row["delivery_ms"][0] <= row["delivery_ms"][1]
    assert result["inbound"] == {"sent": 8, "received": 8, "as_sent": True}
    assert list(tmp_path.iterdir()) == [], "the state directory is gone"


def test_a_terminal_sees_progress_then_a_table_and_where_the_metrics_are(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command("--messages", "40", "--rate", "40"),
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
        cwd=ROOT,
        env=own_place(tmp_path) | {"TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 65536):
            seen += piece
    except OSError:
        pass  # how a terminal says that the other side is gone
    finally:
        os.close(ours)
    assert child.wait(WITHIN) == 0, seen.decode()
    text = seen.decode()
    progress, _, summary = text.rpartition("p50/p99")
    assert "CMPP 3.0" in progress
    assert "10/10" in progress
    for carrier in CARRIERS:
        assert carrier in summary
    assert text.count("/metrics") == 2
    assert "nothing lost, nothing sent twice" in summary


def test_the_metrics_page_stays_with_keep_until_a_signal(tmp_path: Path) -> None:
    child = subprocess.Popen(
        command("--messages", "8", "--rate", "40", "--json", "--keep"),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=own_place(tmp_path),
    )
    assert child.stdout is not None
    try:
        result = json.loads(child.stdout.readline())
        with urllib.request.urlopen(result["metrics"], timeout=30) as page:
            text = page.read().decode()
        assert 'carrierd_submits_total{account="mobile",node="mobile-1",outcome="ok"}' in text
        child.send_signal(signal.SIGINT)
        assert child.wait(WITHIN) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_sigterm_leaves_no_process_and_no_directory(tmp_path: Path) -> None:
    child = subprocess.Popen(
        command("--messages", "5000", "--rate", "20"),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=own_place(tmp_path),
    )
    assert child.stdout is not None
    try:
        assert b"/metrics" in child.stdout.readline(), "printed once the daemon is ready"
        assert len(processes_of(tmp_path)) == 2
        child.terminate()
        assert child.wait(WITHIN) == 143
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [["--messages", "0"], ["--messages", "many"], ["--rate", "0"], ["--rate", "1e9"]],
)
def test_what_cannot_be_done_is_a_usage_error(arguments: list[str]) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "usage: carrierd demo" in done.stderr


# What the verdict is worth: gateways that misbehave


def misbehaving(**more: dict[str, Any]) -> Settings:
    """One carrier whose daemon waits for nothing long."""
    quick = {"answer_within": 0.3, "report_within": 600.0}
    return Settings(
        carriers=("mobile",),
        delay=0.01,
        more={"accounts.mobile": quick, "uncertain": {"hold": 0.1}} | more,
    )


async def played(settings: Settings, directory: Path, count: int = 6) -> dict[str, Any]:
    async with Stage(settings, directory) as stage:
        await stage.start_daemon()
        traffic = Traffic("t", settings.carriers, MIXED)
        demo = Demo(stage, count, 50.0, traffic, patience=2.0)
        await demo.run()
        return await demo.result()


async def test_parts_that_a_gateway_saw_twice_are_duplicated(tmp_path: Path) -> None:
    # Swallowed without an answer, so the daemon sends each once more.
    result = await played(misbehaving(simulate={"loss": 1.0}), tmp_path)
    assert result["duplicated"] == 8, "two of six messages have two parts"
    assert not well(result)


async def test_messages_without_a_final_report_are_lost(tmp_path: Path) -> None:
    result = await played(misbehaving(simulate={"no_report": 1.0}), tmp_path)
    assert result["lost"] == 6
    assert result["duplicated"] == 0
    assert not well(result)


async def test_messages_that_were_refused_are_not_delivered(tmp_path: Path) -> None:
    result = await played(misbehaving(simulate={"refuse": 1.0}), tmp_path)
    assert (result["lost"], result["duplicated"], result["delivered"]) == (0, 0, 0)
    assert not well(result)


async def test_a_daemon_that_dies_is_said_with_its_last_words(tmp_path: Path) -> None:
    async with Stage(Settings(carriers=("mobile",)), tmp_path) as stage:
        await stage.start_daemon()
        os.kill(stage.daemon.pid, signal.SIGKILL)
        give_up = time.monotonic() + 60
        demo = Demo(stage, 10, 50.0, Traffic("t", ("mobile",)), patience=5.0)
        with pytest.raises(ExceptionGroup) as caught:
            await demo.run()
        assert caught.group_contains(StageError, match="carrierd run ended")
        assert time.monotonic() < give_up


async def test_a_daemon_that_cannot_start_is_said_with_the_reason(tmp_path: Path) -> None:
    settings = Settings(carriers=("mobile",), more={"http": {"listen": "192.0.2.1:80"}})
    async with Stage(settings, tmp_path) as stage:
        with pytest.raises(StageError, match="cannot start"):
            await stage.start_daemon()


async def test_what_answers_late_once_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.demo.stage.ANSWER_WITHIN", 0.5)
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        if asked > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await reader.read()  # until it hangs up
        writer.close()

    async with Stage(Settings(carriers=("mobile",)), tmp_path) as stage:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await stage.up(stage.gateways, f"http://127.0.0.1:{port}/")
            assert asked > 1


async def test_gateways_that_do_not_answer_are_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.demo.stage.ANSWER_WITHIN", 0.5)
    async with Stage(Settings(carriers=("mobile",)), tmp_path) as stage:
        os.kill(stage.gateways.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StageError, match="/faults: no answer"):
                await stage.fault("*", freeze=True)
            with pytest.raises(StageError, match="/counts: no answer"):
                await stage.counts()
        finally:
            os.kill(stage.gateways.pid, signal.SIGCONT)
