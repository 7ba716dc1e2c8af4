"""What all commands have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from daemon import cli

ROOT = Path(__file__).parents[3]
EXAMPLE = str(ROOT / "config" / "example.toml")


def test_help_lists_every_command_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert f"\n    {command} " in out
    assert "carrierd send --config" in out


def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "COMMAND" in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error_that_lists_the_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["chekc"]) == 2
    err = capsys.readouterr().err
    assert "chekc" in err
    assert "check" in err


@pytest.mark.parametrize(
    "arguments", [["--bogus"], ["check"], ["check", "--bogus"], ["--log-level", "loud", "check"]]
)
def test_wrong_arguments_are_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert "usage: carrierd" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--log-level", "debug", "check", "--config", EXAMPLE],
        ["check", "--config", EXAMPLE, "--log-level", "debug"],
    ],
)
def test_the_log_level_may_stand_on_either_side_of_the_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 0
    assert "ex-mobile" in capsys.readouterr().out


def test_a_faulty_configuration_is_exit_status_2_with_its_lines_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('[http]\nlisten = 1\n[uncertain]\nthen = "hope"\n')
    assert cli.main(["check", "--config", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"{file}:2: http.listen: is 1, allowed is host:port, the port from 0 to 65535\n"
        f'{file}:4: uncertain.then: is "hope", allowed is one of "resend", "wait"\n'
    )


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"carrierd {version('carrierd')} (pure Python)\n"


@pytest.mark.parametrize(
    "program", [[sys.executable, "-m", "daemon"], [str(Path(sys.executable).parent / "carrierd")]]
)
def test_module_and_script_are_the_same_program(program: list[str]) -> None:
    done = subprocess.run(
        [*program, "check", "--config", EXAMPLE], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.endswith("example.toml: no faults, 0 warnings\n")


def test_a_reader_that_goes_away_ends_it_without_a_word() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "daemon", "check", "--config", EXAMPLE],
            stdout=write,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
    finally:
        os.close(write)
    assert done.returncode == 128 + 13
    assert done.stderr == b""


def test_one_command_does_not_import_the_others() -> None:
    program = (
        "import sys, daemon.cli; daemon.cli.main(['check', '--help']);"
        "sys.exit(any(m.startswith(('aiokafka', 'aiohttp')) for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT)
    assert done.returncode == 0
