"""`carrierd stop`: the record it leaves for every daemon, and how it says that it could not."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon import cli
from daemon.broker import broker
from daemon.broker.base import Record
from daemon.changelog import MSGPACK, Stop, unpack
from daemon.cli import stop
from daemon.config import load

TEXT = """\
[daemon]
state_dir = "{folder}/state"
[broker]
kind = "{kind}"
bootstrap = ["{bootstrap}"]
topics.state = "{topic}"
[accounts.one]
carrier = "mobile"
protocol = "cmpp"
version = "3.0"
login = "901234"
password_env = "NOT_SET_FOR_A_COMMAND_THAT_LOGS_IN_NOWHERE"
access_number = "1065"
rate = 200
[[accounts.one.nodes]]
name = "a"
host = "127.0.0.1"
port = 7890
[routes]
mobile = ["one"]
"""


def written(folder: Path, kind: str, bootstrap: str = "127.0.0.1:1") -> Path:
    file = folder / "carrierd.toml"
    topic = f"t{uuid.uuid4().hex[:8]}.state"
    text = TEXT.format(folder=folder, kind=kind, bootstrap=bootstrap, topic=topic)
    file.write_text(text)
    return file


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return written(tmp_path, "local")


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.kafka)])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "local":
        return written(tmp_path, "local")
    file = written(tmp_path, "kafka", request.getfixturevalue("kafka"))
    make_topics: Callable[..., None] = request.getfixturevalue("make_topics")
    make_topics(load(file, secrets=False).broker.topics.state)
    return file


def run(file: Path, *arguments: str) -> int:
    return cli.main(["stop", "--config", str(file), "--log-level", "error", *arguments])


def stored(file: Path) -> list[Record]:
    """All that is on the state topic."""
    config = load(file, secrets=False)

    async def read() -> list[Record]:
        tail = broker(config).tail(config.broker.topics.state)
        await tail.start(0)
        found: list[Record] = []
        async with asyncio.timeout(30.0):
            while not await tail.finished():
                found += await tail.take(100, 0.5)
        await tail.close()
        return found

    return asyncio.run(read())


@pytest.mark.parametrize(("kind", "name"), [("job", "j-1"), ("tenant", "示例"), ("account", "one")])
def test_one_record_says_what_is_stopped_and_until_when(
    file: Path, kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = time.time()
    assert run(file, f"--{kind}", name) == 0
    after = time.time()
    captured = capsys.readouterr()
    assert captured.out == (
        f"stopped {kind} {name}: what is not yet written becomes rejected, LOCAL:STOPPED; "
        "messages with a part written go on\n"
    )
    assert captured.err == ""
    (record,) = stored(file)
    fact = unpack(record.value)
    assert isinstance(fact, Stop)
    assert (fact.what, fact.name) == (kind, name)
    assert before <= fact.at <= after
    assert record.content_type == MSGPACK


def test_a_second_stop_takes_the_place_of_the_first_in_a_compacted_topic(local: Path) -> None:
    assert [run(local, *one) for one in (["--tenant", "t"], ["--tenant", "t"], ["--job", "t"])] == [
        0, 0, 0,
    ]  # fmt: skip
    first, second, other = stored(local)
    assert first.key == second.key != other.key
    earlier, later = unpack(first.value), unpack(second.value)
    assert isinstance(earlier, Stop)
    assert isinstance(later, Stop)
    assert earlier.at < later.at


def test_what_a_terminal_would_act_on_is_not_printed_as_it_is(
    local: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(local, "--job", "a\x1b[2J\nb") == 0
    out = capsys.readouterr().out
    assert out.startswith(r"stopped job 'a\x1b[2J\nb': ")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "one of the arguments --job --tenant --account is required"),
        (["--job", "j", "--tenant", "t"], "not allowed with argument"),
        (["--job", ""], "argument --job: is empty"),
        (["--tenant", ""], "argument --tenant: is empty"),
        (["--job", "j" * 65], "argument --job: has 65 characters, allowed are 1 to 64"),
        (["--job", "\udcff"], "argument --job: '\\udcff' is no UTF-8"),
        (["--account", "two"], "--account: 'two' is no account of "),
    ],
)
def test_wrong_use_is_two_and_nothing_is_stored(
    local: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(local, *arguments) == 2
    captured = capsys.readouterr()
    assert (says in captured.err, captured.out) == (True, "")
    assert not (local.parent / "state").exists()


def test_an_id_as_long_as_a_jobs_may_be_is_taken(local: Path) -> None:
    assert run(local, "--job", "示" * 64) == 0


def test_an_unknown_account_is_told_beside_those_there_are(
    local: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(local, "--account", "two") == 2
    assert capsys.readouterr().err == (
        f"carrierd stop: --account: 'two' is no account of {local}, allowed are one\n"
    )


def test_a_bad_configuration_is_two(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local.write_text(local.read_text().replace("rate = 200", "rate = 0"))
    assert run(local, "--job", "j") == 2
    assert f"{local}:14: accounts.one.rate: is 0" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["local", "kafka"])
def test_a_broker_that_is_not_there_is_one(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    assert run(written(tmp_path, kind), "--job", "j") == 1
    captured = capsys.readouterr()
    assert "carrierd stop: " in captured.err
    assert captured.out == ""


@pytest.mark.kafka
@pytest.mark.real_kafka
def test_a_state_topic_that_is_missing_is_one_and_named(
    kafka: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "kafka", kafka)
    assert run(file, "--job", "j") == 1
    assert load(file, secrets=False).broker.topics.state in capsys.readouterr().err


def test_a_broker_that_stores_nothing_is_not_waited_for_without_end(
    local: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stop, "WITHIN", 0.0)
    assert run(local, "--job", "j") == 1
    assert "carrierd stop: not stored within 0 s" in capsys.readouterr().err
