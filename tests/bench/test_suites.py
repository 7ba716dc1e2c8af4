"""`carrierd bench`: short forms of the suites, for what was lost and the shape of the output.

How fast it was is not looked at: a machine that runs tests does other things too.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.network import TUN
from daemon.cli import main
from tests.kafka.fixture import why_no_real_kafka

ROOT = Path(__file__).parents[2]
WITHIN = 480.0
NEVER = (
    "lost",
    "sent twice",
    "not delivered",
    "final events repeated",
    "refused as malformed",
)


CONTRACT = ("contract", "--rate", "220")
"""Without what follows when no rate is given."""


def bench(directory: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "daemon", "bench", *arguments],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(directory)},
        timeout=WITHIN,
    )


def usage(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command line that is refused says; here, as nothing of it is run."""
    assert main(["bench", *arguments]) == 2
    return capsys.readouterr().err


def no_network() -> str:
    """Why a test cannot have a network of its own; empty when it can."""
    if os.geteuid():
        return "not root"
    missing = [name for name in ("ip", "nsenter") if shutil.which(name) is None]
    if not TUN.exists():
        missing.append(str(TUN))
    return f"there is no {' and no '.join(missing)}" if missing else ""


AT_ONCE = {
    "contract": ("contract", "--seconds", "5", "--most", "3000"),
    "idle": ("idle", "--seconds", "2"),
    "failover": ("failover", "--faults", "deaf", "--seconds", "5", "--protocols", "cmpp,sgip"),
    "crash": ("crash", "--kills", "3", "--terms", "2", "--rate", "800"),
    "soak": ("soak", "--hours", "0.1", "--compress", "18"),
}
if not no_network():
    cut = ("--netns", "--faults", "cut", "--seconds", "5", "--protocols", "cmpp,sgip")
    AT_ONCE["network"] = ("failover", *cut)

Run = tuple[subprocess.Popen[bytes], Path]


def kafka_command(do: str, directory: Path) -> str:
    return shlex.join([sys.executable, "-m", "tests.kafka", do, str(directory)])


@pytest.fixture(scope="module")
def running(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """Suites that mostly wait, all at once: nothing here is timed."""
    started: dict[str, Run] = {}
    suites = dict(AT_ONCE)
    files = tmp_path_factory.mktemp("kafka")
    start, stop, kill = (kafka_command(do, files) for do in ("start", "stop", "kill"))
    try:
        if not why_no_real_kafka():
            made = subprocess.run(shlex.split(start), capture_output=True, cwd=ROOT, timeout=WITHIN)
            assert made.returncode == 0, made.stderr.decode()
            address = made.stdout.decode()
            commands = ("--bootstrap", address.strip(), "--stop", stop, "--start", start)
            suites["broker"] = (
                "broker",
                "--rate",
                "200",
                "--seconds",
                "5",
                "--restarts",
                "1",
                *commands,
            )
            suites["takeover"] = ("takeover", "--kills", "1", "--bootstrap", kafka)
        for name, arguments in suites.items():
            directory = tmp_path_factory.mktemp(name)
            process = subprocess.Popen(
                [sys.executable, "-m", "daemon", "bench", *arguments, "--json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(directory)},
            )
            started[name] = (process, directory)
        yield started
    finally:
        for process, _ in started.values():
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=WITHIN)
        if "broker" in suites:
            subprocess.run(shlex.split(kill), cwd=ROOT, timeout=WITHIN, check=False)


def ended(running: dict[str, Run], name: str) -> tuple[subprocess.CompletedProcess[bytes], Path]:
    process, directory = running[name]
    out, err = process.communicate(timeout=WITHIN)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err), directory


def result(
    done: subprocess.CompletedProcess[bytes], suite: str, never: Sequence[str] = NEVER
) -> dict[str, Any]:
    """The JSON that was printed, its shape and what must not happen checked."""
    assert done.returncode in (0, 1), done.stderr.decode()
    assert done.stdout.count(b"\n") == 1, done.stderr.decode()
    shown: dict[str, Any] = json.loads(done.stdout)
    assert shown["suite"] == suite
    assert shown["machine"]["cores"] >= 1
    assert shown["machine"]["fdatasync_p99_ms"] > 0
    for target in shown["targets"]:
        assert set(target) >= {"name", "target", "measured", "spread", "met"}
        assert target["spread"] is None or len(target["spread"]) == 2
    targets = {target["name"]: target for target in shown["targets"]}
    for name in never:
        seen = f"{targets[name]}, {shown['figures']}"
        assert targets[name]["measured"] == 0, seen
        assert targets[name]["met"], seen
    assert (done.returncode == 0) == all(target["met"] for target in shown["targets"])
    return shown


def test_throughput_loses_nothing_and_measures_cpu_and_memory(tmp_path: Path) -> None:
    report = tmp_path / "report"
    done = bench(
        tmp_path,
        *("throughput", "--seconds", "1", "--repeats", "1", "--most", "2000"),
        *("--protocols", "mixed", "--report", str(report), "--json"),
    )
    never = (
        *("bare wire: unanswered or unreported", "in flight: sent twice"),
        "in flight: unanswered",
    )
    shown = result(done, "throughput", (*NEVER, *never))
    (run,) = shown["figures"]["sustained"]
    assert run["messages"] > run["messages/s"] > 0
    assert run["µs CPU/message"] > 1
    assert run["memory MB"] > 10
    (backlog,) = shown["figures"]["backlog, mixed"]
    assert backlog["messages"] == 2000
    assert backlog["ledger B/message"] > 100
    assert backlog["µs lookup by id"] > 0
    (flying,) = shown["figures"]["in flight: answered, not reported"]
    assert flying["messages in flight"] == 2000
    (wire,) = shown["figures"]["bare wire, mixed"]
    targets = {target["name"]: target for target in shown["targets"]}
    share = targets["share of the bare wire"]
    assert share["measured"] == pytest.approx(run["messages/s"] / wire["messages/s"], abs=0.01)
    # Of one size there is no curve.
    assert not [name for name in targets if "lookup" in name]
    assert json.loads((report / "throughput.json").read_bytes()) == shown
    assert "<svg" in (report / "throughput.svg").read_text()
    assert list(tmp_path.iterdir()) == [report]


def test_lists_lose_nobody_and_are_counted_by_recipient(tmp_path: Path) -> None:
    done = bench(
        tmp_path,
        *("throughput", "--seconds", "1", "--repeats", "1", "--recipients", "99"),
        *("--protocols", "mixed", "--json"),
    )
    shown = result(done, "throughput")
    assert shown["parameters"]["recipients per job"] == 99
    assert list(shown["figures"]) == ["sustained"]
    (run,) = shown["figures"]["sustained"]
    assert run["messages"] % 99 == 0
    assert run["messages"] > run["messages/s"]
    assert list(tmp_path.iterdir()) == []


def test_record_finds_all_that_it_archived_and_matches_every_report(tmp_path: Path) -> None:
    done = bench(tmp_path, "record", "--most", "6000", "--seconds", "1", "--json")
    shown = result(done, "record", ())  # what is not found or not matched ends the suite
    (archives,) = shown["figures"]["archives"]
    assert (archives["messages"], archives["files"]) == (6000, 6)
    assert 100 < archives["B/message"] < 5000
    asked = {row["ms"] for row in shown["figures"]["trace"]}
    assert {"--job", "--message", "--to", "--carrier-id"} <= asked
    assert [row["ms"] for row in shown["figures"]["reports"]] == ["alone", "of 16"]
    assert shown["figures"]["ledger as it fills"][-1]["open messages"] == 6000
    (archiving,) = shown["figures"]["archiving"]
    assert archiving["jobs"] == 6000
    assert list(tmp_path.iterdir()) == []


def test_contract_loses_nothing_and_measures_every_step(running: dict[str, Run]) -> None:
    done, directory = ended(running, "contract")
    shown = result(done, "contract", (*NEVER, *(f"urgent: {name}" for name in NEVER[:3])))
    assert shown["parameters"]["messages"] == 1100
    targets = {target["name"]: target["target"] for target in shown["targets"]}
    assert list(targets)[:6] == [
        "lowest inner second",
        "delivered within 5 s",
        "delivered within 7 s",
        "answered within 7 s",
        "queue p50",
        "queue p99",
    ]
    assert targets["queue p50"].startswith("<= 2 ")
    assert targets["queue p99"].startswith("<= 10 ")
    assert targets["urgent behind 3000 bulk: p99, published to written"] == "<= 50"
    published, received = shown["figures"]["urgent"]
    assert received["p50"] <= published["p50"] <= published["max"]
    rows = {(row["ms"].split(":")[0], row["by"]): row for row in shown["figures"]["latency"]}
    for step, least in (("queue", 0), ("answer", 50), ("delivery", 1050)):
        row = rows[step, "events"]
        # Stamps have whole milliseconds, both ends of each interval.
        assert least - 1 <= row["p50"] <= row["p95"] <= row["p99"] <= row["max"]
        estimated = rows[step, "/metrics"]
        assert estimated["p50"] <= estimated["p99"]
    assert list(directory.iterdir()) == []


def test_idle_loses_nothing_and_measures_cpu_and_memory(running: dict[str, Run]) -> None:
    done, directory = ended(running, "idle")
    shown = result(done, "idle")
    new, busy, afterwards = shown["figures"]["daemon"]
    # More work is more CPU, whatever else the machine does.
    assert new["% of a core"] < busy["% of a core"] > afterwards["% of a core"]
    assert new["memory MB"] > 20
    assert shown["figures"]["queue: received .. written"][0]["messages"] == 400
    assert list(directory.iterdir()) == []


def test_failover_of_an_outage_of_five_seconds_loses_nothing(running: dict[str, Run]) -> None:
    done, directory = ended(running, "failover")
    never = ("lost", "sent twice, answered", "sent twice, unsaid", "final events contradicted")
    shown = result(done, "failover", never)
    targets = {target["name"]: target for target in shown["targets"]}
    assert targets["seconds without submits"]["measured"] == 0
    (row,) = shown["figures"]["faults"]
    assert row["fault"] == "deaf"
    assert row["back s"] >= 0
    assert row["full s"] >= 0
    (sent,) = shown["figures"]["messages"]
    assert sent["messages"] > 1000
    # What the deaf node was given and never read went to the other one.
    assert sent["resent"] > 0
    assert list(directory.iterdir()) == []


@pytest.mark.skipif(bool(no_network()), reason=f"no network of its own: {no_network()}")
def test_a_line_that_is_cut_costs_no_second_and_no_message(running: dict[str, Run]) -> None:
    done, directory = ended(running, "network")
    never = ("lost", "sent twice, answered", "sent twice, unsaid", "final events contradicted")
    shown = result(done, "failover", never)
    targets = {target["name"]: target for target in shown["targets"]}
    assert targets["seconds without submits"]["measured"] == 0
    assert shown["parameters"]["network"].startswith("TUN devices")
    (row,) = shown["figures"]["faults"]
    assert row["fault"] == "cut"
    (sent,) = shown["figures"]["messages"]
    # What was on the line when it was cut had to be sent again, or to be answered for by a report.
    assert sent["resent"] > 0
    assert list(directory.iterdir()) == []


def test_a_fault_of_the_line_needs_a_network_of_its_own(tmp_path: Path) -> None:
    done = bench(tmp_path, "failover", "--faults", "cut")
    assert done.returncode == 1
    assert "--netns" in done.stderr.decode()


def test_crash_by_three_kills_loses_nothing_and_sends_nothing_twice_under_wait(
    running: dict[str, Run],
) -> None:
    done, directory = ended(running, "crash")
    never = (
        *("lost", "not delivered", "sent twice, wait", "sent twice, SIGTERM"),
        *("sent twice, unsaid", "final events contradicted", "final events repeated, SIGTERM"),
        *("drains that were not clean", "refused as malformed"),
    )
    shown = result(done, "crash", never)
    resend, wait, terms = shown["figures"]["runs"]
    assert [run["times"] for run in (resend, wait, terms)] == [3, 3, 2]
    assert min(run["messages"] for run in (resend, wait, terms)) > 300
    # The kills struck work: a run without proves nothing.  What was in doubt is sent again then,
    # but for what a machine that starts slowly hears reported before.
    assert resend["uncertain"] > 0
    targets = {target["name"]: target for target in shown["targets"]}
    assert targets["sent twice per kill, resend"]["met"]
    assert targets["left in doubt per kill, wait"]["met"]
    assert list(directory.iterdir()) == []


def test_soak_of_twenty_seconds_ends_every_message(running: dict[str, Run]) -> None:
    done, directory = ended(running, "soak")
    never = (
        *("lost", "sent twice, unsaid", "not delivered after one attempt"),
        *("final events contradicted", "final events repeated"),
        *("drains that were not clean", "refused as malformed"),
        *("not final", "parts that ledger and gateways differ about"),
    )
    shown = result(done, "soak", never)
    assert shown["parameters"]["seconds"] == pytest.approx(20)
    assert shown["parameters"]["answer_within"] == pytest.approx(5 / 18)
    (messages,) = shown["figures"]["messages"]
    ends = sum(messages[state] for state in ("delivered", "expired", "rejected"))
    assert ends == messages["messages"] == 4400
    assert len(shown["figures"]["faults"]) >= 5
    assert shown["figures"]["memory by process"][0]["most MB"] > 20
    # The faults left some parts in doubt, and each is named.
    doubtful = shown["figures"]["parts in doubt"]
    assert len(doubtful) == messages["in doubt"] > 0
    assert all(one["answered"] <= one["reached"] <= one["written"] for one in doubtful)
    # Twenty seconds cannot say whether memory grows, and do not.
    targets = {target["name"]: target for target in shown["targets"]}
    assert not targets["memory slope"]["met"]
    assert list(directory.iterdir()) == []


@pytest.mark.real_kafka
def test_a_daemon_lost_with_its_disk_costs_its_untold_answers_at_most(
    running: dict[str, Run],
) -> None:
    done, directory = ended(running, "takeover")
    never = (
        *("lost", "sent twice beyond what was untold", "not delivered"),
        *("answered before, not delivered after", "events after the final one"),
        *("final events contradicted", "refused as malformed"),
    )
    shown = result(done, "takeover", never)
    (times,) = shown["figures"]["takeovers"]
    # The group waits for the lost one as long as its session lasts, less half a second at most.
    assert 5 < times["taken over s"] < times["caught up s"]
    (messages,) = shown["figures"]["messages"]
    assert messages["messages"] > 2000
    # A run in which nothing was owed when the daemon was lost would have proved nothing.
    assert messages["reported later"] > 0
    assert messages["answered lately"] > 0
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("suite", ["broker", "takeover"])
def test_a_bench_of_kafka_alone_says_that_it_needs_one(suite: str, tmp_path: Path) -> None:
    done = bench(tmp_path, suite)
    assert done.returncode == 1
    assert "--bootstrap" in done.stderr.decode()


def test_a_broker_bench_without_commands_says_what_it_needs(tmp_path: Path) -> None:
    done = bench(tmp_path, "broker", "--bootstrap", "127.0.0.1:1")
    assert done.returncode == 1
    assert "--stop and --start" in done.stderr.decode()


@pytest.mark.real_kafka
def test_contract_with_a_kafka_leaves_no_topics_there(tmp_path: Path, kafka: str) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": kafka})
    done = bench(tmp_path, *CONTRACT, "--seconds", "1", "--bootstrap", kafka, "--json")
    shown = result(done, "contract")
    assert shown["parameters"]["broker"] == f"Kafka at {kafka}"
    topics = admin.list_topics(timeout=10).topics
    assert not [name for name in topics if name.startswith("carrierd-bench-")]


def test_people_get_the_machine_every_parameter_and_the_targets(tmp_path: Path) -> None:
    done = bench(tmp_path, *CONTRACT, "--seconds", "1")
    text = done.stdout.decode()
    first, second, *_ = (line for line in text.splitlines() if line.startswith("bench contract:"))
    assert "fdatasync_p99_ms" in first
    assert "rate 220.0; seconds 1.0" in second
    assert "lowest inner second" in text
    assert "sent twice" in text


@pytest.mark.parametrize("suite", ["compare", "nonsense"])
def test_a_suite_that_does_not_exist_is_a_usage_error_that_lists_those_that_do(
    suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = usage(capsys, suite)
    assert suite in error
    for there_is in (
        *("contract", "throughput", "peers", "failover", "crash", "broker", "takeover", "soak"),
        *("idle", "record"),
    ):
        assert there_is in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["contract", "--seconds", "0"],
        ["throughput", "--most", "-1"],
        ["throughput", "--repeats", "0"],
        ["throughput", "--recipients", "1001"],
        ["throughput", "--protocols", "cmpp,ucp"],
        ["failover", "--faults", "killed,tired"],
        ["crash", "--kills", "0"],
        ["crash", "--rate", "0"],
        ["broker", "--restarts", "0"],
        ["soak", "--hours", "0"],
        ["soak", "--compress", "0.5"],
    ],
)
def test_a_value_out_of_range_is_a_usage_error_that_says_what_is_allowed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "allowed" in usage(capsys, *arguments)


def test_a_kafka_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    done = bench(tmp_path, "contract", "--seconds", "1", "--bootstrap", "127.0.0.1:1")
    assert done.returncode == 1
    lines = [line for line in done.stderr.decode().splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert "127.0.0.1:1" in lines[0]


# The longest of those that run all at once is awaited last, when the rest has been looked at.
@pytest.mark.real_kafka
def test_broker_that_is_stopped_and_restarted_costs_nothing(running: dict[str, Run]) -> None:
    done, directory = ended(running, "broker")
    shown = result(done, "broker", ("lost", "sent twice", "not delivered"))
    away, restart = shown["figures"]["without a broker"]
    assert away["seconds"] >= 5
    # Reports came and could not be published: the daemon went on with what it had.
    assert away["outbox records"] > 0
    assert restart["caught up s"] >= 0
    (messages,) = shown["figures"]["messages"]
    assert messages["messages"] > 2000
    assert list(directory.iterdir()) == []
