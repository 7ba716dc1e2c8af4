"""The other clients and the bare wire: all of their work is at the gateways, once."""

from __future__ import annotations

import importlib.util
import os
import sys
import tomllib
from pathlib import Path

import pytest

from bench import esme, jasmin, peers, worker
from bench.bare import bare
from bench.jasmin import UnavailableError
from bench.options import BenchError, Options
from bench.submits import FLOOD, submit_only
from daemon.demo.settings import CARRIERS

SECONDS = 0.5


@pytest.mark.parametrize(
    ("name", "window"),
    [("smpp34", 16), ("aiosmpplib", FLOOD), ("aiosmpplib", 16)],
)
async def test_a_peer_submits_as_often_as_the_gateway_accepts(
    name: str, window: int, tmp_path: Path
) -> None:
    run = await submit_only(name, window, SECONDS, Options(directory=tmp_path))
    assert run.accepted > window
    assert run.cpu > 0
    assert (run.refused, run.twice, run.faults, run.given_up) == (0, 0, 0, 0)
    assert run.answered <= run.accepted
    if window:
        # It is still submitting while a thread of its own tells the count and leaves; beside that
        # what was on its way may be accepted and not yet answered, and no more.
        assert run.answered >= 0.9 * run.accepted - window
    assert os.listdir(tmp_path) == []


async def test_the_bare_wire_leaves_no_submit_unanswered_and_no_report(tmp_path: Path) -> None:
    run = await bare(CARRIERS, SECONDS, Options(directory=tmp_path))
    # Sixteen binds of 64 each: more than their first windows went through.
    assert run.messages > 2 * 16 * 64
    assert run.per_second > 0
    assert (run.twice, run.faults, run.missing) == (0, 0, 0)
    assert os.listdir(tmp_path) == []


async def test_a_ratio_is_taken_round_by_round_with_the_daemon_at_its_whole_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "LEAST", {"smpplib": 1.3})
    nowhere = tmp_path / "python"
    options = Options(directory=tmp_path, seconds=SECONDS, repeats=1, jasmin=nowhere)
    shown = (await peers.measure(options)).show()
    targets = {target["name"]: target for target in shown["targets"]}
    (ours,) = shown["figures"]["carrierd, broker to broker"]
    theirs = {row[""]: row for row in shown["figures"]["submit only"]}
    ways = ("smpplib, window 16", "smpplib, window 64")
    assert set(theirs) == {*ways, *(f"{way}, all cores" for way in ways)}
    for cores in ("", ", all cores"):
        fastest = max((way + cores for way in ways), key=lambda name: theirs[name]["submits/s"])
        ratio = targets[f"carrierd / {fastest}"]
        assert ratio["target"] == ">= 1.3"
        expected = ours["messages/s"] / theirs[fastest]["submits/s"]
        assert ratio["measured"] == pytest.approx(expected, abs=0.02)
    for never in ("lost", "sent twice", "not delivered", "refused as malformed"):
        assert targets[never]["met"]
    # Without a RabbitMQ here it is that which is missing, with one it is Jasmin's interpreter.
    ((why,),) = (row.values() for row in shown["figures"]["Jasmin"])
    assert why.startswith("could not run: ")
    assert str(nowhere) in why or "rabbitmq-server" in why
    assert any("smpplib 2" in name for name in shown["parameters"]["versions"])
    assert os.listdir(tmp_path) == []


async def test_an_environment_without_jasmin_is_named_with_how_to_install_it() -> None:
    with pytest.raises(UnavailableError, match=r"not installed for .*pip install jasmin"):
        await jasmin.specification(Path(sys.executable))


def test_programs_that_jasmin_needs_are_named_with_the_packages_that_have_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jasmin, "PLACES", str(tmp_path))
    assert jasmin.missing() == (
        "there is no rabbitmq-server, epmd, redis-server;"
        " the distribution has rabbitmq-server and redis-server"
    )
    for name in jasmin.NEEDED:
        (tmp_path / name).touch(0o755)
    assert jasmin.missing() is None


async def test_peers_that_are_not_installed_are_named_with_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "smpp34" else there(name)
    )
    with pytest.raises(BenchError, match=r"smpp34 .*pip install 'carrierd\[peers\]'"):
        await peers.measure(Options())


def test_the_extra_that_is_named_has_every_peer() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["peers"]
    assert {one.partition(">=")[0] for one in extra} == set(peers.LEAST)


async def test_a_client_that_cannot_work_fails_with_its_own_words(tmp_path: Path) -> None:
    # Nobody listens on port 1.
    task: dict[str, object] = dict.fromkeys(("login", "password", "sender", "prefix", "text"), "1")
    task |= {"client": "smpplib", "host": "127.0.0.1", "port": 1, "window": 1}
    with pytest.raises(BenchError, match="smpplib: Connection refused"):
        async with worker.worker(esme.__name__, task, tmp_path):
            raise AssertionError("it was never up")


async def test_a_worker_that_ends_by_itself_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brief.py").write_text(
        "import sys\n"
        "sys.stdin.readline()\n"
        "print('{\"up\": true}', flush=True)\n"
        "sys.exit('I have had enough')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with worker.worker("brief", {}, tmp_path) as working:
        with pytest.raises(BenchError, match="brief ended early: I have had enough"):
            await working.work(20.0)
