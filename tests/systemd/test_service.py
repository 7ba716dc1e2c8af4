"""A real daemon under a service manager: when it is ready, alive, and gone."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from tests.contract.sgip import Caller
from tests.ports import free_port

from .manager import Manager, Service

Make = Callable[[dict[str, Any]], Service]
WATCHDOG = 0.2


def account(port: int, **keys: Any) -> dict[str, Any]:
    """An account whose only gateway is not there."""
    node = {"name": "n1", "host": "127.0.0.1", "port": port}
    return {
        "carrier": "mobile", "protocol": "cmpp", "version": "3.0", "login": "901234",
        "password": "secret", "access_number": "106575", "rate": 10, "nodes": [node], **keys,
    }  # fmt: skip


def down() -> dict[str, Any]:
    return {"accounts": {"a": account(free_port())}, "routes": {"mobile": ["a"]}}


async def test_a_life_with_its_carrier_down_inside_the_units_sandbox(
    service: Make, manager: Manager, calls: set[str]
) -> None:
    """Ready, reloading, refusing a reload, stopping: all of it passes the unit's filters."""
    daemon = service(down())
    daemon.start(watchdog=WATCHDOG, calls=calls)
    await daemon.ready()
    assert all("EXTEND_TIMEOUT_USEC" in m for m in manager.told[:-1]), "alive while it started"
    told = await daemon.tells("STATUS")
    assert told["STATUS"].startswith("0 of 1 binds up, 0 messages waiting; carrier mobile: no us")
    assert "EXTEND_TIMEOUT_USEC" not in told

    before = time.monotonic_ns() // 1000
    daemon.signal(signal.SIGHUP)
    told = await daemon.tells("RELOADING")
    assert before <= int(told["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    await daemon.tells("READY")
    daemon.file.write_text("nonsense")
    daemon.signal(signal.SIGHUP)
    await daemon.tells("RELOADING")
    await daemon.tells("READY")

    daemon.signal(signal.SIGTERM)
    told = await daemon.tells("STOPPING")
    assert int(told["EXTEND_TIMEOUT_USEC"]) > 30e6, "longer than drain_within"
    assert await daemon.ended() == 0
    events = [line["event"] for line in daemon.lines()]
    assert "configuration refused, the old one stays" in events
    assert events.index("started") < events.index("reloaded") < events.index("draining")


async def test_a_stuck_loop_is_not_fed_by_anything_else(service: Make, manager: Manager) -> None:
    daemon = service(down())
    daemon.start(watchdog=WATCHDOG)
    await daemon.ready()
    for _ in range(3):
        await daemon.tells("WATCHDOG")
    daemon.signal(signal.SIGUSR1)
    # One may have been on its way when the loop was blocked.
    assert await daemon.silent(WATCHDOG) or await daemon.silent(WATCHDOG)
    assert daemon.process is not None
    threads = os.listdir(f"/proc/{daemon.process.pid}/task")
    assert len(threads) > 1, "the ledger's threads are alive"
    daemon.signal(signal.SIGABRT)  # what a manager does now
    assert await daemon.ended() == -signal.SIGABRT
    stuck = r'Current thread .*\n  File "<string>", line \d+ in <lambda>\n'
    assert re.search(stuck, daemon.log.read_text()), "where it was stuck"


async def test_it_is_not_ready_before_the_broker_is(
    service: Make, manager: Manager, calls: set[str]
) -> None:
    """Inside the sandbox, which has to let Kafka's client and a name's look-up through."""
    kafka = {"broker": {"kind": "kafka", "bootstrap": [f"localhost:{free_port()}"]}}
    daemon = service({**down(), **kafka})
    daemon.start(watchdog=WATCHDOG, calls=calls)
    assert await daemon.ended(20.0) == 2
    while not await daemon.silent(0.02):
        assert "READY" not in manager.told[-1]
    assert daemon.lines()[-1]["event"] == "cannot start"


async def test_carriers_that_call_during_a_restart_wait_where_the_socket_is_inherited(
    service: Make,
) -> None:
    port = free_port()
    keys = {
        "carrier": "unicom", "protocol": "sgip", "version": "1.2", "node_id": 3025112345,
        "corp_id": "12345", "listen": f"127.0.0.1:{port}", "listen_login": "smg",
        "listen_password": "smgpass", "listen_allow": ["127.0.0.0/8"],
    }  # fmt: skip
    daemon = service({"accounts": {"u": account(free_port(), **keys)}})
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port))
        listening.listen(64)
        daemon.start(listen=listening)
        await daemon.ready()
        caller = await Caller.dial(port)
        assert await caller.bind("smg", "smgpass") == 0
        await caller.close()
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0
        caller = await Caller.dial(port)
        daemon.start(listen=listening)
        assert await caller.bind("smg", "smgpass") == 0, "it called while nobody was there"
        await caller.close()
    assert not [line for line in daemon.lines() if "inherited" in line["event"]]
