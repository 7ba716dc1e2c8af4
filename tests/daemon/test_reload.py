"""SIGHUP: what changes at once, what costs a bind, and what needs a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daemon.config import Config, load
from daemon.reload import binds_anew, merged, needs_restart

BASE = """
[daemon]
state_dir = "{state}"
[broker]
kind = "local"
[accounts.a]
carrier = "mobile"
protocol = "cmpp"
version = "3.0"
login = "901234"
password = "secret"
access_number = "1065"
rate = 100
[[accounts.a.nodes]]
name = "n1"
host = "127.0.0.1"
port = 17890
[routes]
mobile = ["a"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Any:
    def read(**changes: str) -> Config:
        text = BASE.format(state=tmp_path)
        for old, new in changes.items():
            text = text.replace(*new.split(" -> ")) if old else text
        file = tmp_path / "c.toml"
        file.write_text(text)
        return load(file)

    return read


def test_a_rate_changes_without_touching_a_bind(config: Any) -> None:
    old, new = config(), config(c="rate = 100 -> rate = 200")
    assert needs_restart(old, new) == []
    assert not binds_anew(old.accounts["a"], new.accounts["a"])


@pytest.mark.parametrize(
    "change",
    [
        'password = "secret" -> password = "other"',
        'login = "901234" -> login = "901235"',
        'version = "3.0" -> version = "2.0"',
        "rate = 100 -> rate = 100\nwindow = 8",
    ],
)
def test_credentials_and_the_window_make_binds_anew(config: Any, change: str) -> None:
    assert binds_anew(config().accounts["a"], config(c=change).accounts["a"])


def test_a_node_more_leaves_the_other_binds_alone(config: Any) -> None:
    node = '[[accounts.a.nodes]]\nname = "n2"\nhost = "127.0.0.1"\nport = 17891\n[routes]'
    new = config(c=f"[routes] -> {node}")
    assert len(new.accounts["a"].nodes) == 2
    assert not binds_anew(config().accounts["a"], new.accounts["a"])


def test_what_was_opened_at_start_needs_a_restart_and_stays(config: Any) -> None:
    old = config()
    new = config(c='kind = "local" -> kind = "local"\n[http]\nlisten = "127.0.0.1:1"')
    assert needs_restart(old, new) == ["http.listen"]
    assert merged(old, new).http == old.http
