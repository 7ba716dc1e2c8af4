"""`carrierd simulate` as a process."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
import pytest

from protocols.events import Reported

from .sp import bound, client, part
from .test_control import CONFIG, configured

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])  # the process has its own

WITH_HTTP = CONFIG.replace("[simulate]", '[simulate]\nlisten = "127.0.0.1:0"')


async def simulate(file: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon", "simulate", "--config", str(file), stdout=PIPE, stderr=PIPE
    )


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_it_plays_serves_and_ends_with_its_counts(
    tmp_path: Path, ending: signal.Signals
) -> None:
    process = await simulate(configured(tmp_path, WITH_HTTP))
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(20):
        while "playing until" not in said:
            line = (await process.stdout.readline()).decode()
            assert line, said
            said += line
    port = re.search(r"^mobile/m1 +cmpp 3\.0 +127\.0\.0\.1:(\d+)", said, re.MULTILINE)
    assert port is not None
    sp = await bound(client(), int(port[1]))
    sp.submit(part(1))
    await sp.got(Reported)
    url = re.search(r"http://\S+", said)
    assert url is not None
    async with aiohttp.ClientSession() as session, session.get(url[0] + "/counts") as answer:
        counts = await answer.json()
    assert counts["nodes"]["mobile/m1"]["submits"] == 1
    await sp.end()
    process.send_signal(ending)
    async with asyncio.timeout(20):
        rest, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    assert re.search(r"^mobile/m1 +1 +1 ", rest.decode(), re.MULTILINE)


async def test_nodes_are_played_that_only_another_instance_has_binds_to(tmp_path: Path) -> None:
    shares = 'rate = 100\nshares = {{"carrierd" = 1, "other" = 1}}'
    process = await simulate(configured(tmp_path, CONFIG.replace("rate = 100", shares, 1)))
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(20):
        while "playing until" not in said:
            line = (await process.stdout.readline()).decode()
            assert line, said
            said += line
    process.terminate()
    async with asyncio.timeout(20):
        await process.communicate()
    assert re.search("^mobile/m1 ", said, re.MULTILINE)
    assert re.search("^mobile/m2 ", said, re.MULTILINE)


async def test_a_bad_file_is_two(tmp_path: Path) -> None:
    file = configured(tmp_path, CONFIG.replace("seed = 7", "seed = -7"))
    process = await simulate(file)
    async with asyncio.timeout(20):
        said, complaints = await process.communicate()
    assert (process.returncode, said) == (2, b"")
    assert b"simulate.seed" in complaints


async def test_a_place_that_is_not_loopback_is_two(tmp_path: Path) -> None:
    process = await simulate(configured(tmp_path, CONFIG.replace('"127.0.0.1"', '"10.1.1.1"')))
    async with asyncio.timeout(20):
        _, complaints = await process.communicate()
    assert process.returncode == 2
    assert b"accounts.mobile.nodes[0].host: '10.1.1.1' is not loopback" in complaints


async def test_a_taken_address_is_one(tmp_path: Path) -> None:
    file = configured(tmp_path)
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    taken = server.sockets[0].getsockname()[1]
    file.write_text(re.sub(r"port = \d+", f"port = {taken}", file.read_text(), count=1))
    process = await simulate(file)
    async with asyncio.timeout(20):
        _, complaints = await process.communicate()
    server.close()
    assert process.returncode == 1
    assert b"in use" in complaints
