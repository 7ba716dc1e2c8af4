"""The configuration file: read once, refused whole with every fault named, frozen afterwards.

Nothing else in the daemon reads the file, nor the environment but for what the service manager
says there to `carrierd run`.  `load` is what commands call;
`examine` also gives what is odd without being wrong.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

from . import rules
from .lines import Lines
from .reading import Fault, Reader
from .schema import (
    Account,
    Address,
    Broker,
    Config,
    Daemon,
    Http,
    Listener,
    Node,
    Routes,
    Simulate,
    Topics,
    Uncertain,
)
from .secret import Secret

__all__ = [
    "Account",
    "Address",
    "Broker",
    "Config",
    "ConfigError",
    "Daemon",
    "Examined",
    "Fault",
    "Http",
    "Listener",
    "Node",
    "Routes",
    "Secret",
    "Simulate",
    "Topics",
    "Uncertain",
    "examine",
    "load",
]


class ConfigError(Exception):
    """The file cannot be used; `str()` is one `F:line: key: what, what is allowed` per fault."""

    def __init__(self, file: Path, faults: list[Fault]) -> None:
        super().__init__("\n".join(f"{file}:{fault}" for fault in faults))
        self.faults = faults


class Examined(NamedTuple):
    """A file's configuration, and the lines on what is odd in it."""

    config: Config
    """Of this instance: of accounts with `shares` its own part."""
    warnings: list[str]
    whole: Config
    """As the file says it, for all instances together."""


def load(path: Path, *, secrets: bool = True, instance: str | None = None) -> Config:
    """The configuration of one instance in this file, `daemon.name` when none is given.

    With `secrets` False the passwords of accounts are left unread, so that a command that logs
    in nowhere works without them; revealing one is then a LookupError.  Raises ConfigError.
    """
    return examine(path, secrets=secrets, instance=instance).config


def examine(
    path: Path,
    *,
    secrets: bool = True,
    environ: Mapping[str, str] = os.environ,
    instance: str | None = None,
    at_start: bool = False,
) -> Examined:
    """As `load`, with warnings.  Raises ConfigError.

    `at_start` warns of passwords written in a file that others can read, too.
    """
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as exc:
        raise _refused(
            path, 1, "file", f"cannot be read ({exc.strerror}), allowed is a TOML file"
        ) from exc
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise _refused(path, line, "file", "is not UTF-8, allowed is TOML in UTF-8") from exc
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _refused(path, *_syntax(text, exc)) from exc
    reader = Reader(Lines(text), path.absolute().parent, environ, secrets=secrets)
    root = reader.table(Config, raw, ())
    if root is None:
        raise AssertionError("a parsed TOML file is a table")
    accounts = raw.get("accounts")
    rules.apply(reader, root, accounts if isinstance(accounts, dict) else (), instance)
    if reader.faults:
        raise ConfigError(path, sorted(reader.faults))
    if at_start and reader.written and mode & (stat.S_IRGRP | stat.S_IROTH):
        closes = "chmod 600 closes it, or password_file keeps it elsewhere"
        reader.warn(reader.written[0], f"stands in a file that others can read, {closes}")
    warnings = [f"{path}:{warning}" for warning in sorted(reader.warnings)]
    whole = cast(Config, root.build())
    return Examined(whole.share(instance or whole.daemon.name), warnings, whole)


def _refused(path: Path, line: int, key: str, text: str) -> ConfigError:
    return ConfigError(path, [Fault(line, key, text)])


def _syntax(text: str, exc: Exception) -> tuple[int, str, str]:
    """Line, key and text of a fault of TOML itself, from what `tomllib` says of it."""
    last = text.count("\n", 0, len(text.rstrip()) or 1) + 1
    if not isinstance(exc, tomllib.TOMLDecodeError):
        # Python's own limits: digits of an integer, depth of nesting.
        return 1, "TOML", f"is beyond what can be read ({exc}), allowed is TOML 1.0"
    said = str(exc)
    place = re.search(r" \(at line (\d+), column \d+\)", said)
    line = int(place[1]) if place else last
    what = re.sub(r" \(at [^)]*\)", "", said)
    return line, "TOML", f"{what[:1].lower()}{what[1:]}, allowed is TOML 1.0"
