"""The queue in a directory: what is left of it after crashes, and what it removes."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.broker.base import BrokerError, Record
from daemon.broker.local import LocalBroker, source, tail
from daemon.broker.local.frames import decode, encode, scan
from daemon.broker.local.segments import Appender, bases, segment
from daemon.broker.local.source import LocalSource
from daemon.broker.local.tail import LocalTail
from daemon.broker.local.watch import Watch

TOPIC = "jobs"
JSON = b"application/json"
Opener = Callable[[str, AsyncExitStack], Awaitable[LocalSource | LocalTail]]

# Appends the numbers from `first` in batches and says after each how many are durable.
APPEND = """
import sys, time
from pathlib import Path
from daemon.broker.local.frames import encode
from daemon.broker.local.segments import Appender

directory, name, rounds, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
appender = Appender(Path(directory), roll_bytes=20_000)
for at in range(0, rounds * size, size):
    frames = [encode(name.encode(), b"%d" % n, b"", time.time()) for n in range(at, at + size)]
    appender.append(b"".join(frames), size)
    appender.sync()
    print(at + size, flush=True)
"""


def appending(directory: Path, name: str, rounds: int, size: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", APPEND, str(directory), name, str(rounds), str(size)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )


async def all_of(root: Path, topic: str = TOPIC) -> list[Record]:
    tail = LocalBroker(root).tail(topic)
    await tail.start(0)
    found: list[Record] = []
    while got := await tail.take(1000, 0.0):
        found += got
    await tail.close()
    return found


def everything(root: Path, topic: str = TOPIC) -> list[Record]:
    return asyncio.run(all_of(root, topic))


def frames(*values: bytes, at: float | None = None) -> bytes:
    now = time.time() if at is None else at
    return b"".join(encode(b"k", value, JSON, now) for value in values)


def tear(directory: Path, what: bytes) -> None:
    """Leave this at the end of the first segment, as a writer that died would."""
    with open(segment(directory, 0), "ab") as file:
        file.write(what)


def damage(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


async def until(condition: Callable[[], bool], within: float = 10.0) -> None:
    """For what happens by itself, elsewhere."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def put(directory: Path, *values: bytes, **settings: float) -> None:
    appender = Appender(directory, **settings)  # type: ignore[arg-type]
    for value in values:
        appender.append(frames(value), 1)
    appender.close()


def values(records: list[Record]) -> list[bytes]:
    return [record.value for record in records]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / TOPIC


# Frames

RECORDS = st.lists(
    st.tuples(
        st.none() | st.binary(max_size=40),
        st.binary(max_size=300),
        st.sampled_from([b"", JSON, b"application/msgpack"]),
        st.floats(min_value=0, max_value=4e9),
    ),
    max_size=8,
)


@given(RECORDS)
def test_what_is_framed_is_read_back(
    records: list[tuple[bytes | None, bytes, bytes, float]],
) -> None:
    data = b"".join(encode(*record) for record in records)
    found: list[Record] = []
    assert decode(data, 0, 100, TOPIC, 7, found) == (len(records), len(data))
    assert [
        (r.key, r.value, (r.content_type or "").encode(), r.timestamp) for r in found
    ] == records
    assert [r.offset for r in found] == list(range(7, 7 + len(records)))


@given(RECORDS, st.data())
def test_a_cut_anywhere_leaves_the_whole_frames_before_it(
    records: list[tuple[bytes | None, bytes, bytes, float]], data: st.DataObject
) -> None:
    each = [encode(*record) for record in records]
    written = b"".join(each)
    cut = data.draw(st.integers(0, len(written)))
    whole = [sum(map(len, each[: n + 1])) for n in range(len(each))]
    count = sum(1 for place in whole if place <= cut)
    with tempfile.TemporaryFile() as file:
        file.write(written[:cut])
        file.flush()
        assert scan(file.fileno(), 0, cut) == (whole[count - 1] if count else 0, count)
    assert decode(written[:cut], 0, 100, TOPIC, 0, [])[0] == count


@given(st.binary(min_size=1, max_size=60), st.data())
def test_no_changed_octet_goes_unseen(value: bytes, data: st.DataObject) -> None:
    good = encode(b"key", value, JSON, 1.5)
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    assert decode(bytes(bad), 0, 1, TOPIC, 0, []) == (0, 0)


@given(st.binary(max_size=200))
def test_octets_that_are_no_frame_are_the_end(noise: bytes) -> None:
    assert decode(noise, 0, 1, TOPIC, 0, [])[0] == 0  # a CRC by chance is 1 in 4 thousand million


def test_zeros_left_by_a_power_cut_are_no_frames() -> None:
    assert decode(bytes(4096), 0, 10, TOPIC, 0, []) == (0, 0)


# Appending

TORN = [frames(b"half")[:5], frames(b"half")[:-1], b"\0" * 700, b"\xff" * 50]


@pytest.mark.parametrize("tail", TORN, ids=["header", "value", "zeros", "noise"])
def test_a_torn_tail_is_cut_off_by_the_next_to_append(directory: Path, tail: bytes) -> None:
    put(directory, b"1", b"2")
    tear(directory, tail)
    assert values(everything(directory.parent)) == [b"1", b"2"]
    put(directory, b"3")
    found = everything(directory.parent)
    assert values(found) == [b"1", b"2", b"3"]
    assert [record.offset for record in found] == [0, 1, 2]


def test_an_appender_sees_what_others_wrote_and_left_torn(directory: Path) -> None:
    mine = Appender(directory)
    put(directory, b"1")
    tear(directory, frames(b"half")[:-2])
    mine.append(frames(b"2"), 1)
    assert mine.end == 2
    assert values(everything(directory.parent)) == [b"1", b"2"]
    mine.close()


def test_an_appender_follows_others_into_new_segments(directory: Path) -> None:
    mine = Appender(directory, roll_bytes=100)
    mine.append(frames(b"0"), 1)
    put(directory, *(b"%d" % n for n in range(1, 30)), roll_bytes=100)
    mine.append(frames(b"30"), 1)
    assert mine.end == 31
    assert len(bases(directory)) > 5
    assert [int(value) for value in values(everything(directory.parent))] == list(range(31))
    mine.close()


def test_an_appender_whose_segment_was_removed_goes_on_in_the_last_one(directory: Path) -> None:
    mine = Appender(directory, roll_bytes=60)
    mine.append(frames(b"0"), 1)
    put(directory, *(b"%d" % n for n in range(1, 10)), roll_bytes=60)
    for base in bases(directory)[:-1]:
        os.unlink(segment(directory, base))
    mine.append(frames(b"10"), 1)
    last = everything(directory.parent)[-1]
    assert (last.offset, last.value) == (10, b"10")
    mine.close()


def test_processes_append_at_once_and_nothing_is_lost_or_torn(directory: Path) -> None:
    rounds, size = 120, 5
    writers = [appending(directory, name, rounds, size) for name in ("a", "b")]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    found = everything(directory.parent)
    assert [record.offset for record in found] == list(range(2 * rounds * size))
    for name in (b"a", b"b"):
        mine = [int(record.value) for record in found if record.key == name]
        assert mine == list(range(rounds * size))
    assert len(bases(directory)) > 1


def test_what_was_durable_survives_a_killed_writer(directory: Path) -> None:
    for n in range(5):
        name = f"w{n}"
        writer = appending(directory, name, 10_000, 40)
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(3 + n)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().splitlines()]
        writer.wait()
        writer.stdout.close()
        put(directory, b"after")
        found = everything(directory.parent)
        mine = [int(record.value) for record in found if record.key == name.encode()]
        assert len(mine) >= told[-1]
        assert mine == list(range(len(mine)))
        assert found[-1].value == b"after"
        assert [record.offset for record in found] == list(range(len(found)))


# Reading


def test_a_segment_is_left_when_the_next_one_was_begun(directory: Path) -> None:
    put(directory, *(b"%d" % n for n in range(50)), roll_bytes=200)
    found = everything(directory.parent)
    assert [int(record.value) for record in found] == list(range(50))
    assert [record.offset for record in found] == list(range(50))
    assert len(bases(directory)) > 5


def test_a_record_longer_than_what_is_read_at_once_comes_whole(directory: Path) -> None:
    long = os.urandom(700_000)
    put(directory, b"1", long, b"2")
    assert values(everything(directory.parent)) == [b"1", long, b"2"]


async def test_a_reader_waits_at_a_torn_tail_and_goes_on_when_it_is_mended(directory: Path) -> None:
    put(directory, b"1")
    tear(directory, frames(b"half")[:-2])
    tail = LocalBroker(directory.parent).tail(TOPIC)
    await tail.start(0)
    assert values(await tail.take(10, 1.0)) == [b"1"]
    assert await tail.take(10, 0.05) == []
    put(directory, b"2")
    assert values(await tail.take(10, 5.0)) == [b"2"]
    await tail.close()


async def test_a_damaged_closed_segment_is_named_with_the_place(directory: Path) -> None:
    put(directory, *(b"%d" % n for n in range(6)), roll_bytes=100)
    first, second = bases(directory)[:2]
    size = len(frames(b"0"))
    damage(Path(segment(directory, first)), size + 20)
    tail = LocalBroker(directory.parent).tail(TOPIC)
    await tail.start(0)
    assert values(await tail.take(10, 1.0)) == [b"0"]
    with pytest.raises(BrokerError, match=rf"{first:020d}\.log.* at byte {size} \(offset 1\)"):
        await tail.take(10, 1.0)
    await tail.close()
    assert second > first


async def test_a_reader_whose_segment_was_dropped_goes_on_with_the_oldest_kept(
    directory: Path,
) -> None:
    put(directory, *(b"%d" % n for n in range(12)), roll_bytes=100)
    tail = LocalBroker(directory.parent).tail(TOPIC)
    await tail.start(0)
    kept = bases(directory)[-1]
    for base in bases(directory)[:-1]:
        os.unlink(segment(directory, base))
    found: list[Record] = []
    while got := await tail.take(100, 0.05):
        found += got
    assert found[0].offset == 0  # the file was open
    assert [record.offset for record in found if record.offset >= kept] == list(range(kept, 12))
    assert all(int(record.value) == record.offset for record in found)
    await tail.close()


async def test_no_topic_of_a_tail_waits_for_a_busier_one(tmp_path: Path) -> None:
    broker = LocalBroker(tmp_path)
    outlet = broker.outlet(["busy", "quiet"])
    await outlet.start()
    await outlet.publish([("busy", None, b"%d" % n) for n in range(100)])
    await outlet.publish([("quiet", None, b"v")])
    await outlet.close()
    for topics in (("busy", "quiet"), ("quiet", "busy")):
        tail = broker.tail(*topics)
        await tail.start()
        first = [record.topic for _ in range(2) for record in await tail.take(10, 5.0)]
        assert first.count("quiet") == 1
        await tail.close()


async def test_a_place_that_was_dropped_begins_at_the_first_record_kept(directory: Path) -> None:
    appender = Appender(directory, roll_bytes=1)
    for n in range(5):
        appender.append(frames(b"%d" % n), 1)
    appender.close()
    for n in range(3):
        os.unlink(segment(directory, n))
    tail = LocalBroker(directory.parent).tail(TOPIC)
    await tail.start({(TOPIC, 0): 1})
    assert [record.offset for _ in range(2) for record in await tail.take(10, 1.0)] == [3, 4]
    await tail.close()


async def test_a_topic_that_nobody_has_written_to_is_empty(tmp_path: Path) -> None:
    tail = LocalBroker(tmp_path).tail("reports")
    await tail.start(0)
    assert await tail.finished()
    taking = asyncio.create_task(tail.take(10, 20.0))
    assert not (await asyncio.wait([taking], timeout=0.05))[0]
    put(tmp_path / "reports", b"first")
    assert values(await taking) == [b"first"]
    await tail.close()


@pytest.fixture
def waiting(directory: Path) -> Opener:
    """A source or a tail on the topic, which exists."""
    put(directory)

    async def open_(kind: str, stack: AsyncExitStack) -> LocalSource | LocalTail:
        broker = LocalBroker(directory.parent)
        reader = broker.source([TOPIC]) if kind == "source" else broker.tail(TOPIC)
        await reader.start()
        stack.push_async_callback(reader.close)
        return reader

    return open_


KINDS = pytest.mark.parametrize("kind", ["source", "tail"])


@KINDS
async def test_who_waits_is_told_of_a_record_at_once(
    directory: Path,
    waiting: Opener,
    kind: str,
    stack: AsyncExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (source, tail):
        monkeypatch.setattr(module, "LOOK_TOLD", 600.0)
    reader = await waiting(kind, stack)
    async with asyncio.timeout(30):
        for value in (b"1", b"2", b"3"):
            taking = asyncio.create_task(reader.take(10, 600.0))
            assert not (await asyncio.wait([taking], timeout=0.05))[0]
            await asyncio.to_thread(put, directory, value)
            assert values(await taking) == [value]
        taking = asyncio.create_task(reader.take(10, 600.0))
        await asyncio.to_thread(put, directory, b"in a segment of its own", roll_bytes=1)
        assert values(await taking) == [b"in a segment of its own"]


@KINDS
async def test_without_watches_there_is_looking(
    directory: Path, waiting: Opener, kind: str, stack: AsyncExitStack
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open("/dev/null", os.O_RDONLY)
    os.close(spare)

    class Starved(Watch):
        """As when the user has as many watches as are allowed."""

        def _open(self) -> int:
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
            try:
                return super()._open()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    with pytest.MonkeyPatch.context() as patch:
        for module in (source, tail):
            patch.setattr(module, "Watch", Starved)
            patch.setattr(module, "LOOK_TOLD", 600.0)
        reader = await waiting(kind, stack)
        taking = asyncio.create_task(reader.take(10, 600.0))
        assert not (await asyncio.wait([taking], timeout=0.05))[0]
        await asyncio.to_thread(put, directory, b"1")
        assert values(await asyncio.wait_for(taking, 30)) == [b"1"]


async def test_a_directory_that_is_removed_and_made_again_is_watched_again(
    directory: Path, stack: AsyncExitStack
) -> None:
    told = asyncio.Event()
    watch = Watch([directory], told.set)
    stack.callback(watch.close)
    assert not watch.complete()
    os.mkdir(directory)
    assert watch.complete()
    os.rmdir(directory)
    await asyncio.wait_for(told.wait(), 30)
    assert not watch.complete()
    os.mkdir(directory)
    assert watch.complete()
    told.clear()
    (directory / "0.log").write_bytes(b"x")
    await asyncio.wait_for(told.wait(), 30)


async def test_what_is_not_in_memory_any_more_is_read_all_the_same(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def would_wait(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", would_wait)
    put(directory, *(b"%d" % n for n in range(30)), roll_bytes=300)
    assert values(await all_of(directory.parent)) == [b"%d" % n for n in range(30)]


# Positions and removal


async def taken(source: LocalSource, count: int) -> list[Record]:
    found: list[Record] = []
    while len(found) < count:
        found += await source.take(count - len(found), 5.0)
    return found


async def test_segments_are_removed_once_all_their_records_are_committed(directory: Path) -> None:
    put(directory, *(b"%d" % n for n in range(40)), roll_bytes=200)
    before = bases(directory)
    source = LocalBroker(directory.parent).source([TOPIC])
    await source.start()
    await taken(source, 30)
    source.commit({(TOPIC, 0): before[3] + 1})
    await source.close()
    assert bases(directory) == before[3:]
    source = LocalBroker(directory.parent).source([TOPIC])
    await source.start()
    rest = await taken(source, 40 - before[3] - 1)
    assert rest[0].offset == before[3] + 1
    source.commit({(TOPIC, 0): 40})
    await source.close()
    assert bases(directory) == before[-1:]
    put(directory, b"40")
    assert (await all_of(directory.parent))[-1].offset == 40


async def test_a_position_reaches_the_disk_without_a_close(directory: Path) -> None:
    put(directory, b"0", b"1", b"2")
    source = LocalBroker(directory.parent).source([TOPIC])
    await source.start()
    await taken(source, 3)
    source.commit({(TOPIC, 0): 2})
    await until((directory.parent / "positions.json").exists)
    assert (directory.parent / "positions.json").read_bytes() == b'{"jobs":2}'
    await source.close()


async def test_a_position_behind_the_end_begins_at_the_end(directory: Path) -> None:
    put(directory, b"0", b"1")
    (directory.parent / "positions.json").write_text('{"jobs": 99}')
    source = LocalBroker(directory.parent).source([TOPIC])
    await source.start()
    assert await source.take(10, 0.0) == []
    put(directory, b"2")
    assert [(r.offset, r.value) for r in await taken(source, 1)] == [(2, b"2")]
    await source.close()


async def test_positions_that_cannot_be_read_are_an_error_that_names_the_file(
    directory: Path,
) -> None:
    put(directory, b"0")
    (directory.parent / "positions.json").write_text('{"jobs": "x"}')
    with pytest.raises(BrokerError, match=r"positions\.json: Expected `int`"):
        await LocalBroker(directory.parent).source([TOPIC]).start()


async def test_a_second_source_on_the_same_directory_is_refused(directory: Path) -> None:
    source = LocalBroker(directory.parent).source([TOPIC])
    await source.start()
    with pytest.raises(BrokerError, match="another process takes its jobs"):
        await LocalBroker(directory.parent).source([TOPIC]).start()
    await source.close()
    again = LocalBroker(directory.parent).source([TOPIC])
    await again.start()
    await again.close()


DAY = 86400.0


@pytest.fixture
def week_old(directory: Path) -> float:
    """The time now; the topic has a segment a day, the oldest nine days old."""
    now = time.time()
    for age in range(9, 0, -1):
        put(directory, b"%d" % age, roll_bytes=1)
        os.utime(segment(directory, bases(directory)[-1]), times=(now - age * DAY,) * 2)
    return now


def test_only_files_older_than_asked_for_are_dropped(directory: Path, week_old: float) -> None:
    appender = Appender(directory, clock=lambda: week_old)
    assert appender.drop_older(6.5 * DAY) == 3
    assert values(everything(directory.parent)) == [b"6", b"5", b"4", b"3", b"2", b"1"]
    assert appender.drop_older(6.5 * DAY) == 0
    appender.close()


def test_a_topic_nothing_was_written_to_for_long_becomes_empty_and_counts_on(
    directory: Path, week_old: float
) -> None:
    appender = Appender(directory, clock=lambda: week_old + 30 * DAY)
    assert appender.drop_older(7 * DAY) == 9
    assert everything(directory.parent) == []
    appender.append(frames(b"new", at=week_old), 1)
    assert [(r.offset, r.value) for r in everything(directory.parent)] == [(9, b"new")]
    appender.close()


async def test_an_outlet_drops_old_files_only_where_it_was_told_to(
    directory: Path, week_old: float
) -> None:
    other = directory.parent / "reports"
    put(other, b"old")
    os.utime(segment(other, 0), times=(week_old - 30 * DAY,) * 2)
    outlet = LocalBroker(directory.parent, {"reports": 7 * DAY}).outlet([TOPIC, "reports"])
    await outlet.start()
    await until(lambda: bases(other) == [1])
    await outlet.close()
    assert len(bases(directory)) == 9


def test_a_segment_is_closed_after_a_day(directory: Path) -> None:
    now = [1000.0]
    appender = Appender(directory, roll_after=DAY, clock=lambda: now[0])
    appender.append(frames(b"0", at=now[0]), 1)
    now[0] += DAY - 1
    appender.append(frames(b"1", at=now[0]), 1)
    assert bases(directory) == [0]
    now[0] += 2
    appender.append(frames(b"2", at=now[0]), 1)
    assert bases(directory) == [0, 2]
    appender.close()


# Trouble


async def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    outlet = LocalBroker(tmp_path).outlet([TOPIC])
    await outlet.start()
    await outlet.publish([(TOPIC, b"k", b"0" * 1000)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))  # writes beyond fail half-way
    try:
        publishing = asyncio.create_task(outlet.publish([(TOPIC, b"k", b"1" * 1000)]))
        await until(lambda: not outlet.connected)
        assert not publishing.done()
        assert len(everything_now(tmp_path)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    await asyncio.wait_for(publishing, 30)
    assert outlet.connected
    assert [value[:1] for value in everything_now(tmp_path)] == [b"0", b"1"]
    await outlet.close()


def everything_now(root: Path) -> list[bytes]:
    data = b"".join(Path(segment(root / TOPIC, base)).read_bytes() for base in bases(root / TOPIC))
    found: list[Record] = []
    _, end = decode(data, 0, 1000, TOPIC, 0, found)
    assert end == len(data)
    return values(found)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x" * 201])
async def test_a_name_that_is_no_topic_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BrokerError, match="letters, digits"):
        await LocalBroker(tmp_path).source([name]).start()


async def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    broker = LocalBroker(tmp_path / "file" / "broker")
    for opening in (broker.source([TOPIC]), broker.outlet([TOPIC])):
        with pytest.raises(BrokerError, match="file/broker"):
            await opening.start()
        await opening.close()


async def test_a_topic_that_was_not_named_is_refused(tmp_path: Path) -> None:
    outlet = LocalBroker(tmp_path).outlet([TOPIC])
    await outlet.start()
    with pytest.raises(BrokerError, match="'other' is not one"):
        await outlet.publish([(TOPIC, None, b"x"), ("other", None, b"x")])
    await outlet.close()
