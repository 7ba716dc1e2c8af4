"""`carrierd check` on files without faults."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import cli

TEXT = """\
[broker]
kind = "local"
[accounts.one]
carrier = "mobile"
protocol = "cmpp"
version = "3.0"
login = "901234"
password = "hunter2"
access_number = "1065"
rate = 200
window = 16
[[accounts.one.nodes]]
name = "a"
host = "127.0.0.1"
port = {port}
[routes]
mobile = ["one"]
"""


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that is bound and refuses."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def check(folder: Path, text: str, *options: str) -> int:
    file = folder / "carrierd.toml"
    file.write_text(text)
    return cli.main(["check", "--config", str(file), *options])


def test_it_prints_accounts_nodes_binds_and_capacity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = (
        '[[accounts.one.nodes]]\nname = "b"\nhost = "gw.test"\nport = 7891\nbinds = 2\n[routes]'
    )
    assert check(tmp_path, TEXT.format(port=7890).replace("[routes]", second)) == 0
    captured = capsys.readouterr()
    assert captured.out.split("\n") == [
        "account  carrier  protocol  number  rate/s  window  binds",
        "one      mobile   cmpp 3.0    1065     200      16      3",
        "",
        "account  node  address         binds  priority",
        "one      a     127.0.0.1:7890      1         1",
        "one      b     gw.test:7891        2         1",
        "",
        "parts per second that the windows let through, by round trip",
        "account  rate/s  20 ms  50 ms  100 ms",
        "one         200   2400    960     480",
        "",
        f"{tmp_path}/carrierd.toml: no faults, 0 warnings",
        "",
    ]
    assert captured.err == ""


def test_a_rate_that_the_windows_cannot_carry_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, TEXT.format(port=7890)) == 0
    out = capsys.readouterr().out
    assert "one         200    800    320     160\n" in out
    assert (
        "warning: one: 1 bind with window 16 carry 200/s only up to a round trip of 80 ms\n" in out
    )
    assert out.endswith("no faults, 1 warning\n")


def test_binds_in_reserve_do_not_hide_that_the_preferred_ones_are_too_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reserve = '[[accounts.one.nodes]]\nname = "b"\nhost = "h"\nport = 1\npriority = 2\n[routes]'
    assert check(tmp_path, TEXT.format(port=7890).replace("[routes]", reserve)) == 0
    assert (
        "warning: one: 1 bind of priority 1 alone with window 16 carry 200/s only up to a round "
        "trip of 80 ms\n" in capsys.readouterr().out
    )


def test_max_binds_limits_the_capacity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXT.format(port=7890).replace("port = 7890", "port = 7890\nbinds = 9")
    assert check(tmp_path, text.replace("window = 16", "window = 16\nmax_binds = 2")) == 0
    assert "one         200   1600    640     320\n" in capsys.readouterr().out


def test_connect_measures_a_node_that_listens(
    tmp_path: Path, listener: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, TEXT.format(port=listener), "--connect") == 0
    lines = capsys.readouterr().out.split("\n")
    header = next(line for line in lines if line.endswith("measured"))
    row = lines[lines.index(header) + 1].split()
    assert row[:5] == ["one", "200", "800", "320", "160"]
    assert float(row[5]) > 16  # a window in less than a second
    assert "(measured: of a TCP connection; the gateway's own time comes on top)" in lines


def test_connect_says_which_node_was_not_reached(
    tmp_path: Path, nobody: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, TEXT.format(port=nobody), "--connect") == 0
    out = capsys.readouterr().out
    assert f"warning: one: a (127.0.0.1:{nobody}) not reached: Connection refused\n" in out
    assert "warning: one: measured, its binds carry 0/s of 200/s\n" in out


def test_what_is_odd_in_the_file_is_among_the_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, TEXT.format(port=7890).replace('mobile = ["one"]', "")) == 0
    assert f"warning: {tmp_path}/carrierd.toml:3: accounts.one: is in no route" in (
        capsys.readouterr().out
    )


def test_the_tables_fit_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3] / "config")  # wherever that is: the file is named
    assert cli.main(["check", "--config", "example.toml"]) == 0
    assert all(len(line) <= 80 for line in capsys.readouterr().out.split("\n"))


def test_no_password_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, TEXT.format(port=7890)) == 0
    captured = capsys.readouterr()
    assert "hunter2" not in captured.out + captured.err


def test_a_file_without_accounts_is_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, "") == 0
    assert "account  node  address" in capsys.readouterr().out


def shared(name: str) -> str:
    """An account that two instances share: two nodes with three binds in all, one in reserve."""
    more = '[[accounts.one.nodes]]\nname = "b"\nhost = "h"\nport = 1\npriority = 2\n[routes]'
    text = TEXT.format(port=7890).replace("port = 7890", "port = 7890\nbinds = 2")
    text = text.replace("rate = 200", 'rate = 200\nshares = {"xz-a" = 1, "xz-b" = 1}')
    head = f'[daemon]\nname = "{name}"\n'
    return head + text.replace("[routes]", more).replace('kind = "local"', "")


def test_it_prints_the_share_of_this_instance_beside_the_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, shared("xz-b")) == 0
    assert capsys.readouterr().out.split("\n")[:-2] == [
        "account  carrier  protocol  number  rate/s  window  binds",
        "one      mobile   cmpp 3.0    1065     100      16      1",
        "",
        "account  node  address         binds  priority",
        "one      a     127.0.0.1:7890      1         1",
        "one      b     h:1                 0         2",
        "",
        "shares; this instance is xz-b",
        "account  instance  rate/s  binds  by node",
        "one      xz-a         100      2  a 1, b 1",
        "one      xz-b         100      1  a 1",
        "one      (all)        200      3  a 2, b 1",
        "",
        "parts per second that the windows let through, by round trip",
        "account  rate/s  20 ms  50 ms  100 ms",
        "one         100    800    320     160",
        "",
    ]


def test_a_node_that_this_instance_has_no_bind_to_is_not_connected_to(
    tmp_path: Path, listener: int, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shared("xz-b").replace("port = 7890", f"port = {listener}")
    assert check(tmp_path, text, "--connect") == 0
    assert "not reached" not in capsys.readouterr().out


def test_binds_that_max_binds_leaves_out_carry_nothing(
    tmp_path: Path, listener: int, capsys: pytest.CaptureFixture[str]
) -> None:
    reserve = '[[accounts.one.nodes]]\nname = "b"\nhost = "h"\nport = 1\npriority = 2\n[routes]'
    text = TEXT.format(port=listener).replace(f"port = {listener}", f"port = {listener}\nbinds = 2")
    text = text.replace("[routes]", reserve).replace("window = 16", "window = 15\nmax_binds = 2")
    assert check(tmp_path, text) == 0
    assert "1 bind of priority 1 alone with window 15 carry 200/s" in capsys.readouterr().out
