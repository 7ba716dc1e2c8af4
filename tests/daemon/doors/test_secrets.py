"""Passwords and numbers, looked for in all that a running daemon writes and shows."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from daemon.config.secret import Secret
from daemon.logs import configure
from protocols.errors import EncodeError
from protocols.sgip.pdus import Bind as SgipBind
from protocols.smpp.pdus import Bind as SmppBind
from tests.contract.process import Daemon, toml, until
from tests.contract.sgip import DELIVER, Caller, head, own_sequence
from tests.contract.world import Account, World, job, number, world
from tests.daemon.cli.conftest import logs_as_before as logs_as_before
from tests.fuzz.roles import ROLES, SECRET

PASSWORDS = {
    "mobile": "pw-Mob1le-x",
    "refused": "pw-Refus3d-x",
    "telecom": "pw-Tel3com-x",
    "broadnet": "pwBr0adX",
    "unicom": "pw-Un1com-x",
}
LISTEN_PASSWORD = "pw-L1sten-x"
TRIED = "pw-Tr1ed-x"
"""What a stranger gave in a login that was refused."""
SECRETS = [*PASSWORDS.values(), LISTEN_PASSWORD, TRIED]
TEXT = "Ihr geheimer Code ist 271828"


@pytest.fixture
async def troubled(tmp_path: Path) -> AsyncIterator[World]:
    """Four carriers that work and one that refuses our login."""
    refused = Account("refused", "cmpp", "mobile", password=PASSWORDS["refused"])
    refused.far.password = "another"
    async with world(
        tmp_path / "w",
        Account("mobile", "cmpp", "mobile", password=PASSWORDS["mobile"]),
        refused,
        Account("telecom", "smgp", "telecom", password=PASSWORDS["telecom"]),
        Account("broadnet", "smpp", "broadnet", password=PASSWORDS["broadnet"]),
        Account(
            "unicom", "sgip", "unicom", password=PASSWORDS["unicom"],
            listen_password=LISTEN_PASSWORD,
        ),
        check=False,
    ) as opened:  # fmt: skip
        yield opened


async def trouble(opened: World) -> list[str]:
    """Everything that makes a daemon complain; returns the numbers that had a part in it."""
    daemon = opened.daemon
    numbers = [number(carrier) for carrier in ("mobile", "unicom", "telecom", "broadnet")]
    jobs = [job(to, TEXT) for to in numbers]
    await daemon.send(*jobs)
    for one in jobs:
        await daemon.final(f"{one['id']}/0")
    bad = {**job(numbers[0], TEXT), "colour": numbers[1]}
    await daemon.put(json.dumps(bad).encode(), numbers[2].encode(), b"\xff" + TEXT.encode())
    await until(lambda: len(daemon.published["dead"]) == 3, what="three dead records")
    # Gateways say things that cannot be read, with numbers in them.
    for name in ("mobile", "telecom", "broadnet"):
        for connection in opened.accounts[name].gateway.connections:
            command = 5  # Deliver, deliver_sm; 3 in SMGP
            body = f"\x01{numbers[0]}\0".encode() * 3
            words = (5, 0, 9) if name == "broadnet" else (3 if name == "telecom" else command, 9)
            size = 4 + 4 * len(words) + len(body)
            connection.send(struct.pack(f">{1 + len(words)}I", size, *words) + body)
            connection.send(struct.pack(">II", 7, 1))
    port = int(opened.unicom.keys["listen"].rpartition(":")[2])
    for login, password in (("smg", TRIED), (TRIED, LISTEN_PASSWORD), ("smg", LISTEN_PASSWORD)):
        caller = await Caller.dial(port)
        if await caller.bind(login, password) == 0:
            caller.writer.write(
                head(30, DELIVER, own_sequence(9)) + numbers[0].encode() + bytes(19)
            )
            caller.writer.write(b"\xff" * 30)
        await caller.closed()
        await caller.close()
    await until(lambda: "credentials refused" in daemon.log.read_text(), what="a refused login")
    return numbers


async def reload(daemon: Daemon, config: dict[str, Any], said: str) -> None:
    before = daemon.log.read_text().count(said)
    daemon.file.write_text("\n".join(toml(config)) + "\n")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    await until(lambda: daemon.log.read_text().count(said) > before, what=said)


async def test_no_password_and_no_whole_number_is_written_or_shown(troubled: World) -> None:
    daemon = troubled.daemon
    numbers = await trouble(troubled)
    # A reload with faults right where the secrets are, and one that changes a password.
    broken = json.loads(json.dumps(daemon.config))
    broken["accounts"]["broadnet"]["password"] = PASSWORDS["broadnet"] + "-and-too-long"
    broken["accounts"]["telecom"]["pasword"] = PASSWORDS["telecom"]
    broken["accounts"]["mobile"]["password_env"] = PASSWORDS["mobile"]
    await reload(daemon, broken, "configuration refused")
    daemon.file.write_text(daemon.file.read_text() + f'\npassword = "{PASSWORDS["mobile"]}" "')
    checked = await daemon.run("check")
    assert checked.status == 2
    changed = json.loads(json.dumps(daemon.config))
    changed["accounts"]["mobile"]["password"] = TRIED
    await reload(daemon, changed, '"reloaded"')
    pages = {path: (await daemon.get(path))[1] for path in ("/metrics", "/status", "/readyz")}
    traced = await daemon.run("trace", "--to", numbers[0])
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGABRT)
    await daemon.process.wait()

    log = daemon.log.read_text()
    assert "malformed PDU" in log
    for name, shown in {**pages, "stderr": log, "check": checked.out + checked.err}.items():
        assert [secret for secret in SECRETS if secret in shown] == [], name
        assert [to for to in numbers if to in shown] == [], name
        assert TEXT not in shown, name
    assert [secret for secret in SECRETS if secret in traced.out + traced.err] == []
    written = [path for path in daemon.directory.rglob("*") if path.is_file()]
    assert any(path.name == "ledger.sqlite" for path in written)
    for path in written:
        if path != daemon.file:
            octets = path.read_bytes()
            assert [secret for secret in SECRETS if secret.encode() in octets] == [], path


async def test_nobody_else_may_read_what_the_daemon_keeps_and_no_core_is_left(
    tmp_path: Path,
) -> None:
    """Texts and numbers stand in the ledger, passwords in the memory that a core would show."""
    before = os.umask(0o022)
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    try:
        async with world(tmp_path / "w", Account("mobile", "cmpp", "mobile")) as opened:
            daemon = opened.daemon
            one = job(number())
            await daemon.send(one)
            await daemon.final(f"{one['id']}/0")
            state = daemon.directory / "state"
            assert stat.S_IMODE(state.stat().st_mode) == 0o700
            ledgers = [p for p in state.iterdir() if p.name.startswith("ledger")]
            assert len(ledgers) >= 3
            for path in ledgers:
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            assert daemon.process is not None
            soft, _ = resource.prlimit(daemon.process.pid, resource.RLIMIT_CORE)
            assert soft == 0
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
        os.umask(before)


async def test_what_is_open_to_others_is_closed_or_told_at_start(tmp_path: Path) -> None:
    async with world(tmp_path / "w", Account("mobile", "cmpp", "mobile")) as opened:
        daemon = opened.daemon
        await daemon.signal()
        daemon.file.chmod(0o644)
        daemon.log.write_text("")
        state = daemon.directory / "state"
        state.chmod(0o755)
        (state / "ledger.sqlite").chmod(0o644)
        await daemon.start()
        for path, mode in ((state, 0o700), (state / "ledger.sqlite", 0o600)):
            closed = stat.S_IMODE(path.stat().st_mode) == mode
            told = f"{path}" in daemon.log.read_text() and "others" in daemon.log.read_text()
            assert closed or told, f"{path} stays open to others and nobody is told"
        assert "accounts.mobile.password: stands in a file that others can read" in (
            daemon.log.read_text()
        )


def test_the_traceback_of_a_bug_shows_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    def log_in(password: str, text: str) -> float:
        return len(password + text) / 0

    configure("info")
    for log in (structlog.get_logger(), logging.getLogger("asyncio")):
        try:
            log_in(TRIED, TEXT)
        except ZeroDivisionError as exc:
            log.critical("bug", exc_info=exc)
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    for line in (first, second):
        assert "in log_in" in line["exception"]
        assert TRIED not in str(line)
        assert TEXT not in str(line)


def test_what_holds_a_password_does_not_show_it_when_printed() -> None:
    sgip = SgipBind(login_type=1, login_name="smg", login_password=TRIED)
    smpp = SmppBind(system_id="esme", password="pwTr1ed")
    assert repr(sgip) == "Bind(login_type=1, login_name='smg', login_password=***, reserve='')"
    assert "pwTr1ed" not in repr(smpp)
    assert "'esme'" in repr(smpp)
    for role in ROLES:
        session = role.bound()
        shown = repr(session) + repr(getattr(session, "account", None))
        assert SECRET not in shown, role.name
    assert f"{Secret(TRIED)} {Secret(TRIED)!r}" == "*** ***"


@pytest.mark.parametrize("password", [TRIED * 3, "密码" + TRIED], ids=["long", "chinese"])
def test_a_password_that_does_not_fit_is_refused_without_quoting_it(password: str) -> None:
    for login in (SgipBind(login_password=password), SmppBind(password=password)):
        with pytest.raises(EncodeError, match=r"Bind\..*password: \d+ characters") as caught:
            login.encode()
        assert TRIED not in str(caught.value)
        assert TRIED not in repr(caught.value.__cause__)
