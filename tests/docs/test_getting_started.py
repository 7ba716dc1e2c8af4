"""A newcomer who types what the page says sees a delivered message, its trace, and its figures.

The page's commands run literally, one after the other in one shell, in an empty directory beside
this tree.  Only what installs things (`console`) is left out.  A network namespace of its own
gives the page its ports, and a mount namespace its /var/tmp.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator

from daemon import schemas

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
PROMETHEUS = "Prometheus and the dashboards"
WITHIN = 90.0
"""Seconds for all of it, on a machine that is busy with other tests."""
ISOLATED = ("unshare", "--map-root-user", "--net", "--mount")
ALONE = "ip link set lo up && mount -t tmpfs tmpfs /var/tmp && exec bash -e page.sh"


def written() -> dict[str, str]:
    """The commands of each section that has any."""
    sections = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    blocks = {
        title: "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
        for title, text in sections
    }
    return {title: commands for title, commands in blocks.items() if commands}


class Ran(NamedTuple):
    """What the page's commands printed, and how the shell ended."""

    status: int
    shown: dict[str, str]
    """By section."""
    errors: str

    def records(self) -> list[dict[str, object]]:
        lines = "".join(self.shown.values()).splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"v":1')]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    if subprocess.run([*ISOLATED, "true"], capture_output=True).returncode:
        assert "CI" not in os.environ, "CI has to be able to make namespaces"
        pytest.skip("needs network and mount namespaces of its own")
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "carrierd").symlink_to(ROOT)
    installed = folder / "bin"
    installed.mkdir()
    for name, module in (("carrierd", "-m daemon"), ("python", "")):
        command = installed / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        command.chmod(0o755)
    sections = written()
    if shutil.which("prometheus") is None:
        del sections[PROMETHEUS]
    script = "".join(f"printf '\\n%s\\n' '## {title}'\n{run}" for title, run in sections.items())
    (folder / "page.sh").write_text(script)
    # The kernel ends everything in a PID namespace with its first process, should the page fail.
    shell = subprocess.Popen(
        [*ISOLATED, "--pid", "--fork", "--kill-child", "bash", "-c", ALONE],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        env={**os.environ, "PATH": f"{installed}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        out, errors = shell.communicate(timeout=WITHIN)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        out, errors = shell.communicate()
    shown = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", out, re.DOTALL | re.MULTILINE))
    return Ran(shell.returncode, shown, errors)


def test_all_commands_of_the_page_succeed(ran: Ran) -> None:
    last, shown = list(ran.shown.items())[-1]
    assert ran.status == 0, f"under {last!r}: {ran.errors}\n{shown}"
    assert list(ran.shown) == [t for t in written() if t in ran.shown]


def test_the_first_message_is_delivered(ran: Ran) -> None:
    events = [
        json.loads(line) for line in re.findall(r"^\{.*", ran.shown["The first message"], re.M)
    ]
    assert [event["state"] for event in events] == ["accepted", "delivered"]
    assert events[-1]["job"] == "first"


def test_its_trace_shows_its_whole_life(ran: Ran) -> None:
    steps = re.findall(r"\b(produced|received|written|answered|reported)\b", ran.shown["Its trace"])
    assert list(dict.fromkeys(steps)) == ["produced", "received", "written", "answered", "reported"]


def test_what_it_saw_is_what_the_schemas_say(ran: Ran) -> None:
    found = ran.records()
    states = {record.get("state", "inbound") for record in found}
    assert {"accepted", "delivered", "rejected", "inbound"} <= states
    for record in found:
        name = "report" if "state" in record else "inbound"
        schema = schemas.load(name)
        Draft202012Validator(schema).validate(record)
        assert list(record) == list(schema["properties"])


def test_prometheus_answers_queries_of_the_dashboards(ran: Ran) -> None:
    if PROMETHEUS not in ran.shown:
        pytest.skip("no prometheus on the path")
    lines = re.findall(r'^\{"status".*', ran.shown[PROMETHEUS], re.MULTILINE)
    delivered, rate = (by_account(json.loads(line)) for line in lines)
    assert delivered["ex-mobile"] >= 1
    assert set(rate) == set(delivered)
    said = re.findall(r"^(\w+): (\d+) of (\d+) queries have data", ran.shown[PROMETHEUS], re.M)
    boards = (ROOT / "config" / "grafana" / "dashboards" / "en").glob("*.json")
    assert {name for name, _, _ in said} == {board.stem for board in boards}
    for name, have, asked in said:
        assert int(have) > int(asked) / 2, name


def by_account(answer: dict[str, Any]) -> dict[str, float]:
    assert answer["status"] == "success"
    return {one["metric"]["account"]: float(one["value"][1]) for one in answer["data"]["result"]}


def test_the_outage_that_the_page_shows_costs_nothing(ran: Ran) -> None:
    shown = ran.shown["What an outage looks like"]
    assert '"state":"delivered"' in shown
    assert re.search(r'carrierd_failovers_total\{[^}]*from="m1"[^}]*\} 1\.0', shown)
