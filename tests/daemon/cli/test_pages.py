"""What people meet first: help pages, completion, colours, and how soon a command starts."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.cli import COMMANDS, main
from daemon.cli.completion import SHELLS
from daemon.cli.lasting import lasting
from daemon.cli.names import nodes, places
from daemon.cli.paint import Paint

ROOT = Path(__file__).parents[3]
SLOW = ("structlog", "rich", "aiohttp", "aiokafka", "uvloop", "prometheus_client", "argcomplete")
QUICK = {
    "--version": (0, ("asyncio", "msgspec")),
    "decode cmpp 0000000c0000000800000001": (0, ("asyncio", "msgspec", "aiosmpplib")),
    "status --config config/example.toml": (3, ("asyncio",)),
    "trace --config config/example.toml --job x": (1, ("asyncio",)),
}
"""Command lines, their exit status, and what else they may not import."""


def parser(command: str) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser()
    subparsers = found.add_subparsers()
    importlib.import_module(f"daemon.cli.{command}").add(subparsers)
    made: argparse.ArgumentParser = subparsers.choices[command]
    return made


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_page_has_examples_that_work_and_exit_statuses(command: str) -> None:
    page = parser(command).format_help()
    _, _, rest = page.partition("\nexamples:\n")
    examples, _, statuses = rest.partition("\nexit status:\n")
    shown = re.findall(rf"carrierd {command}\b[^|>)#\n]*", examples)
    assert shown
    for line in shown:
        assert callable(parser(command).parse_args(shlex.split(line)[2:]).run), line
    assert re.match(r"  0    \w", statuses)


def test_the_commands_are_all_listed_with_the_exit_statuses(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    for command in COMMANDS:
        assert re.search(rf"^    {command} ", page, re.MULTILINE), command
    assert "exit status:" in page


def test_people_do_not_wait_for_what_a_command_does_not_need(tmp_path: Path) -> None:
    script = "import sys\nfrom daemon.cli import main\n"
    for line, (_, more) in QUICK.items():
        script += f"status = main({line.split()!r})\n"
        script += f"found = {{*{(*SLOW, *more)!r}}} & sys.modules.keys()\n"
        script += f"print({line!r}, status, sorted(found), file=sys.stderr)\n"
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    said = [line for line in ended.stderr.splitlines() if line.endswith("]")]
    assert said == [f"{line} {status} []" for line, (status, _) in QUICK.items()], ended.stderr


def complete(line: str) -> set[str]:
    """What bash offers for a line, by what it was told to do."""
    script = """
        carrierd() { "$PYTHON" -m daemon "$@"; }
        eval "$(carrierd completion bash)"
        COMP_POINT=${#COMP_LINE}
        _python_argcomplete carrierd
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "COMP_LINE": line, "COMP_TYPE": "9"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 0, ended.stderr
    return {word.strip() for word in ended.stdout.splitlines()}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("carrierd st", {"stop", "status"}),
        (
            "carrierd bind --config config/example.toml pause ex-mobile/",
            {"ex-mobile/m1", "ex-mobile/m2"},
        ),
    ],
)
def test_a_real_bash_completes(line: str, offered: set[str]) -> None:
    pytest.importorskip("argcomplete")
    assert complete(line) == offered


def test_there_is_something_to_read_for_every_shell(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("argcomplete")
    for shell in SHELLS:
        assert main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert "#compdef carrierd" in said
    assert "complete --command carrierd" in said


def test_names_come_from_the_file_and_a_broken_file_has_none(tmp_path: Path) -> None:
    args = argparse.Namespace(config=ROOT / "config" / "example.toml", account="ex-mobile")
    assert "ex-unicom" in places("", args)
    assert places("ex-mobile/", args) == ["ex-mobile/m1", "ex-mobile/m2"]
    assert nodes("", args) == ["m1", "m2"]
    broken = tmp_path / "broken.toml"
    broken.write_text("accounts = [")
    assert places("", argparse.Namespace(config=broken)) == []
    assert places("", argparse.Namespace(config=tmp_path / "none")) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_and_not_where_nobody_wants_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Paint(Terminal())("yes", "green") == "\x1b[32myes\x1b[0m"
    assert Paint(io.StringIO())("yes", "green") == "yes"
    monkeypatch.setenv("TERM", "dumb")
    assert Paint(Terminal())("yes", "green") == "yes"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert Paint(Terminal())("yes", "green") == "yes"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"),
        (0.0074, "7 ms"),
        (0.9996, "1 s"),
        (1.0934, "1.093 s"),
        (59.9999, "1 min 00 s"),
        (243, "4 min 03 s"),
        (3599.6, "1 h 00 min"),
        (11_520, "3 h 12 min"),
        (446_400, "5 d 04 h"),
        (-0.25, "-250 ms"),
    ],
)
def test_durations_are_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert lasting(seconds) == said
