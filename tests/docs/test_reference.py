"""The reference pages say what the code does: its keys, its commands, its metrics."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from daemon.cli import COMMANDS, main
from daemon.config.lines import Lines
from daemon.config.reading import SECRET_FORMS, Reader
from daemon.config.schema import Listener
from docs.generator import commands, metrics, settings
from docs.generator.settings import Key

ROOT = Path(__file__).parents[2]
KEYS = settings.keys()


def read(key: Key, text: str) -> tuple[Any, list[str]]:
    """What the daemon's reader makes of the key in `text`, and what it finds wrong with it."""
    raw = tomllib.loads(text)
    (given,) = raw
    reader = Reader(Lines(text), ROOT, {str(raw[given]): "secret"}, secrets=True)
    table = reader.table(key.kind, raw, ())
    assert table is not None
    return table.get(key.name), [str(f) for f in reader.faults if f.key.startswith(given)]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.section}.{key.name}")
def test_an_example_is_one_that_the_daemon_reads(key: Key) -> None:
    value, faults = read(key, key.example)
    assert faults == []
    assert value is not None


def test_a_shown_default_is_what_an_absent_key_means() -> None:
    for key in KEYS:
        if key.default:
            (field,) = (f for f in structs.fields(key.kind) if f.name == key.name)
            value, faults = read(key, f"{key.name} = {key.default}")
            assert (value, faults) == (field.default, []), key


def test_every_key_of_the_shipped_configurations_is_in_the_reference() -> None:
    known = {(key.section, key.name) for key in KEYS}
    for name in ("example.toml", "production.toml"):
        file = ROOT / "config" / name
        found = set(keys_of(tomllib.loads(file.read_text(encoding="utf-8"))))
        assert found
        assert found <= known, name


def keys_of(table: dict[str, Any], section: str = "") -> list[tuple[str, str]]:
    """Section and name of every plain key, account names as NAME and secrets without their form."""
    found = []
    for name, value in table.items():
        place = f"{section}.{name}" if section else name
        inner = value if isinstance(value, list) else [value]
        if section == "accounts":
            found += keys_of(value, "accounts.NAME")
        elif all(isinstance(one, dict) for one in inner) and name != "shares" and inner:
            for one in inner:
                found += keys_of(one, place)
        else:
            plain = re.sub(f"({'|'.join(form for form in SECRET_FORMS if form)})$", "", name)
            found.append((section, plain if "password" in name else name))
    return found


def test_the_page_has_every_key_with_all_that_is_to_be_said_of_it() -> None:
    page = settings.page()
    for key in KEYS:
        if key.section == settings.REPEATED:
            continue
        _, found, rest = page.partition(f"({settings.anchor(key)})=\n")
        assert found, key
        entry = rest.partition("\n(setting-")[0]
        cells = re.findall(
            r"^\| (type|unit|allowed|default|example) \| (.+) \|$", entry, re.MULTILINE
        )
        assert [name for name, _ in cells] == ["type", "unit", "allowed", "default", "example"], key
        assert key.meaning in entry


def test_a_key_without_words_is_refused_by_name() -> None:
    with pytest.raises(LookupError, match=r"daemon\.config\.schema\.Listener\.login"):
        settings.described(Listener, "login")  # type: ignore[arg-type]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_commands_has_what_their_help_says(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(commands.WIDTH))
    monkeypatch.setenv("NO_COLOR", "1")
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.rstrip() in commands.page()


def test_the_page_of_metrics_has_what_the_readme_promises_with_the_same_labels() -> None:
    page = metrics.page()
    rows = dict(re.findall(r"^\| `(carrierd_\w+)` \| \w+ \| (.*?) \|", page, re.MULTILINE))
    shown = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows.items()}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    promised = re.findall(r"`(carrierd_\w+)\{([\w,]+)\}`", readme)
    assert promised
    for name, labels in promised:
        assert shown[name] == set(labels.split(",")), name
