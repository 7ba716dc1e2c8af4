"""A gateway that comes back from an outage with all its reports at once."""

from __future__ import annotations

import asyncio
import struct
import time
from pathlib import Path

from tests.contract.process import until
from tests.contract.sgip import REPORT, RESPONSE, head, own_sequence
from tests.daemon.doors.conftest import Doors
from tests.daemon.doors.conftest import doors as doors
from tests.daemon.doors.conftest import make_doors as make_doors

FLOOD = 20_000
OURS = 400
"""Reports of the flood that are about messages of ours; of the others nobody knows anything."""
NODE = 3025112345


def carrier_id(counter: int) -> bytes:
    return struct.pack(">III", NODE, 1122083000, counter)


def resident() -> int:
    """Octets of memory of this process, the tests' own included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_a_flood_of_reports_is_acknowledged_in_bounded_memory_and_stalls_nothing(
    doors: Doors,
) -> None:
    desk = doors.desk
    peer = desk.peer()
    ours = {n * (FLOOD // OURS): f"139{n:08d}" for n in range(OURS)}
    jobs = [{"id": f"j-{n}", "to": to} for n, to in ours.items()]
    for start in range(0, OURS, 100):
        await desk.take(*jobs[start : start + 100])
    sent = 0
    while sent < OURS:
        written = await desk.written(peer, most=5.0)
        assert written, f"{sent} of {OURS} were written, and no more"
        for sequence, part, _ in written:
            counter = next(n for n, to in ours.items() if to == part.to)
            peer.accepts(sequence, carrier_id(counter))
            sent += 1
    desk.told.clear()

    caller = await doors.logged_in()
    flood = b"".join(
        head(44, REPORT, own_sequence(n))
        + struct.pack(
            ">12sB21sBB8s", carrier_id(n), 0, b"86" + ours.get(n, f"138{n:08d}").encode(), 0, 0, b""
        )
        for n in range(FLOOD)
    )
    laps: list[float] = []
    beating = asyncio.create_task(beat(laps))
    before, began = resident(), time.monotonic()
    caller.writer.write(flood)
    async with asyncio.timeout(20.0):
        acknowledged = [await read_answer(caller.reader) for _ in range(FLOOD)]
    took = time.monotonic() - began
    # A tick looks at what is kept; it must not be the one that stalls either.
    desk.app.engine.reports.tick(desk.at + 3.0)
    beating.cancel()

    assert sorted(acknowledged) == list(range(FLOOD))

    def delivered() -> list[str]:
        return sorted(event["to"] for event in desk.told if event["state"] == "delivered")

    await until(lambda: len(delivered()) >= OURS, what=lambda: f"{len(delivered())} of {OURS}")
    assert delivered() == sorted(ours.values())
    assert took < 15.0, f"{FLOOD / took:.0f} reports/s"
    assert max(laps) < 0.5, f"other work waited for {max(laps):.2f} s of this"
    assert resident() - before < 100 * 1024 * 1024


async def beat(laps: list[float]) -> None:
    """Seconds of work that the loop does before it looks at anything else."""
    last = time.thread_time()
    while True:
        await asyncio.sleep(0.005)
        now = time.thread_time()
        laps.append(now - last)
        last = now


async def read_answer(reader: asyncio.StreamReader) -> int:
    frame = await reader.readexactly(29)
    size, command, _, _, counter, result = struct.unpack_from(">IIIIIB", frame)
    assert (size, command, result) == (29, REPORT | RESPONSE, 0)
    return int(counter)
