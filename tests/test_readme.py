"""What the README shows works: its commands, its configuration, its records, its names."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon import jobs
from daemon.cli import COMMANDS
from daemon.clock import Stamps
from daemon.config import load
from daemon.model import Job, Message
from daemon.records import Records

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def blocks(language: str, text: str = README) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def shown_commands() -> Iterator[str]:
    """Every line of a shell block that runs `carrierd`, without redirections."""
    for block in blocks("sh"):
        for line in block.splitlines():
            if line.startswith("carrierd "):
                yield re.sub(r"\s+(2?>\S+|&|#.*)", "", line)


def parsed(line: str) -> argparse.Namespace:
    """As `carrierd` would read it; SystemExit when it would not."""
    _, command, *rest = shlex.split(line)
    parser = argparse.ArgumentParser()
    importlib.import_module(f"daemon.cli.{command}").add(parser.add_subparsers())
    return parser.parse_args([command, *rest])


def row(title: str) -> dict[str, Any]:
    """The first JSON example under a heading."""
    section = README.partition(f"\n## {title}\n")[2]
    value: dict[str, Any] = json.loads(blocks("json", section)[0])
    return value


def fits(part: Any, whole: Any, place: str = "") -> None:
    """Everything in `part` is in `whole`, at the same place; of a list its beginning."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert key in whole, f"{place}{key}"
            fits(value, whole[key], f"{place}{key}.")
    elif isinstance(part, list) and part and isinstance(part[0], dict):
        for index, value in enumerate(part):
            fits(value, whole[index], f"{place}{index}.")
    else:
        assert part == whole, place


@pytest.mark.parametrize("line", sorted(set(shown_commands())))
def test_a_shown_command_line_is_understood(line: str) -> None:
    assert callable(parsed(line).run)


def test_every_command_is_in_the_table_and_no_other() -> None:
    table = README.partition("\n## Commands\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `carrierd (\w+)", table, re.MULTILINE)) == set(COMMANDS)


def test_every_command_that_is_named_exists() -> None:
    for page in PAGES:
        named = re.findall(r"`carrierd ([a-z]+)", page.read_text(encoding="utf-8"))
        assert set(named) <= set(COMMANDS), page.name


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(named) <= targets, page.name
    assert {"demo", "test"} <= targets


def test_every_link_leads_to_a_file() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_shown_configuration_is_a_sound_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARRIERD_KAFKA_PASSWORD", "not-a-secret")
    file = tmp_path / "carrierd.toml"
    (text,) = blocks("toml")
    file.write_text(text, encoding="utf-8")
    config = load(file, secrets=False)
    assert config.broker.kind == "kafka"
    accounts = config.accounts.values()
    assert {a.carrier for a in accounts} == {"mobile", "unicom", "telecom", "broadnet"}
    assert {a.protocol for a in accounts} == {"cmpp", "sgip", "smgp", "smpp"}


def test_the_shown_configuration_is_part_of_the_one_for_production() -> None:
    (text,) = blocks("toml")
    production = (ROOT / "config" / "production.toml").read_text(encoding="utf-8")
    fits(tomllib.loads(text), tomllib.loads(production))


def test_the_shown_job_is_a_job() -> None:
    example = row("Jobs")
    before = datetime.fromisoformat(example["expires_at"]).timestamp() - 3600
    job = jobs.decode(json.dumps(example).encode(), None, before)
    assert job.id == example["id"]
    assert list(job.to) == example["to"]
    assert job.priority is jobs.Lane.NORMAL


def test_the_fields_of_a_job_are_all_explained() -> None:
    section = README.partition("\n## Jobs\n")[2].partition("\n## ")[0]
    explained = {
        name
        for cell in re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", cell)
    }
    assert explained == set(jobs.Job.__struct_fields__)


def test_the_shown_report_has_the_keys_of_a_real_one() -> None:
    example = row("Reports")
    fields = jobs.decode(json.dumps(row("Jobs")).encode(), None, 0.0)
    job = Job(1, fields, 0.0, 0.0, ("sms.jobs", 0, 0), 1)
    message = Message(job, 0, "13800138000", "mobile", fields.priority)
    key, value = Records(Stamps(ZoneInfo("Asia/Shanghai")), {"xz-mobile": "cmpp"}).report(message)
    real = json.loads(value)
    assert list(example) == list(real)
    assert list(example["times"]) == list(real["times"])
    for name in ("v", "job", "message", "tenant", "to", "carrier", "bill_units", "meta"):
        assert example[name] == real[name], name
    assert key.decode() == example["job"]


def test_every_metric_that_is_named_is_one() -> None:
    sources = [
        ast.parse((ROOT / "daemon" / name).read_text(encoding="utf-8"))
        for name in ("metrics.py", "vitals.py", "kept.py")
    ]
    known = {
        f"carrierd_{node.value}"
        for source in sources
        for node in ast.walk(source)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    named = set(re.findall(r"`(carrierd_\w+)", README))
    assert named
    assert {name.removesuffix("_total") for name in named} <= known
