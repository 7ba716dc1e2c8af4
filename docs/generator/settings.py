"""The configuration reference: every key of `daemon/config/schema.py`, and what `rules` add.

What a key is for stands in the docstring beneath it, which ends with an example; type, unit,
range and default are its annotation's.  A key without either is refused here.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from msgspec import NODEFAULT, Meta, Struct, structs
from msgspec import inspect as hints_of

from daemon.config import schema
from daemon.config.hints import PARSERS, allowed, bare, is_section, shown, without_none
from daemon.config.reading import SECRET_FORMS
from daemon.config.rules import LIMITS, ONLY_FOR, SGIP_KEYS
from daemon.config.schema import Address, Config, Override
from daemon.config.secret import Secret
from daemon.sim.behaviour import Behaviour

from .markdown import code, table

_EXAMPLE = re.compile(r"(?P<meaning>.+?) For example `(?P<example>.+)`\.")
_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", ZoneInfo: "string"}
_DAY = schema.DAY
REPEATED = "simulate.accounts.NAME"
"""A section with the keys of another one."""


class Key(NamedTuple):
    """One key, as the reference shows it."""

    kind: type[Struct]
    """The section, as the schema has it."""
    section: str
    """The same as the file spells it: `accounts.NAME.nodes`, empty at the top."""
    name: str
    type: str
    unit: str
    """Empty for what has none."""
    allowed: str
    default: str
    """As the file would spell it; empty when it has none."""
    required: bool
    meaning: str
    example: str
    """As it may stand in the file: `name = value`."""


def page() -> str:
    """The configuration reference in Markdown."""
    parts = [_BEGIN]
    found = keys()
    sections = {key.section: [k for k in found if k.section == key.section] for key in found}
    for section, own in sections.items():
        parts.append(f"## {_header(section)}\n")
        parts.append(_INTRODUCTIONS.get(section, ""))
        if section == REPEATED:
            continue
        rows = [(f"[`{k.name}`](#{anchor(k)})", _default(k), _first(k.meaning)) for k in own]
        parts.append(table(("key", "default", "what"), rows))
        parts += map(_entry, own)
        if section == "accounts.NAME":
            parts.append(_limits())
    return "\n".join(parts)


def keys() -> list[Key]:
    """Every key that the file may have, section by section.

    Raises LookupError for one that the schema does not describe.
    """
    return list(_section(Config, ()))


def anchor(key: Key) -> str:
    """What links lead to."""
    return f"setting-{key.section}-{key.name}".replace(".", "-").replace("_", "-").lower()


def _section(kind: type[Struct], path: tuple[str, ...]) -> Iterator[Key]:
    hints = get_type_hints(kind, include_extras=True)
    inner: list[tuple[type[Struct], tuple[str, ...]]] = []
    for field in structs.fields(kind):
        hint, _ = without_none(hints[field.name])
        below = _table_of(hint)
        if below is not None:
            named = () if is_section(bare(hint)) or get_origin(bare(hint)) is tuple else ("NAME",)
            inner.append((below, (*path, field.name, *named)))
        if below is None or get_origin(bare(hint)) is tuple:
            yield _key(kind, field, hints[field.name], ".".join(path))
    for below, place in inner:
        yield from _section(below, place)


def _table_of(hint: Any) -> type[Struct] | None:
    """The section that stands at this key, alone, by name or in an array; None for plain values."""
    kind = bare(hint)
    if is_section(kind):
        return kind  # type: ignore[no-any-return]
    if get_origin(kind) is tuple and is_section(get_args(kind)[0]):
        return get_args(kind)[0]  # type: ignore[no-any-return]
    if get_origin(kind) is Mapping and is_section(get_args(kind)[1]):
        return get_args(kind)[1]  # type: ignore[no-any-return]
    return None


def _key(kind: type[Struct], field: structs.FieldInfo, hint: Any, section: str) -> Key:
    own, optional = without_none(hint)
    required = field.required and not optional
    secret = bare(own) is Secret
    meaning, example = described(kind, field.name)
    name = f"{field.name}_env" if secret else field.name
    text = f"{name} = {example}" if not example.startswith(f"{field.name}.") else example
    return Key(
        kind=kind,
        section=section,
        name=field.name,
        type=_type(own),
        unit=_unit(own),
        allowed=f"one of {', '.join(field.name + form for form in SECRET_FORMS)}"
        if secret
        else allowed(own),
        default="" if required else _shown(field.default),
        required=required,
        meaning=meaning,
        example=text,
    )


def described(kind: type[Struct], name: str) -> tuple[str, str]:
    """Meaning and example of a key, from the docstring beneath it.

    Raises LookupError when there is none, or it has no example.
    """
    homes = (Behaviour,) if kind is Override else (*kind.__mro__,)
    for home in homes:
        text = _docstrings(home).get(name) if home.__module__.startswith("daemon.") else None
        if text is not None:
            found = _EXAMPLE.fullmatch(" ".join(text.split()))
            if found is not None:
                return found["meaning"], found["example"]
    raise LookupError(
        f"{kind.__module__}.{kind.__name__}.{name}: needs a docstring beneath it that says what it "
        "is for and ends with: For example `VALUE`."
    )


@cache
def _docstrings(kind: type) -> dict[str, str]:
    """The docstrings beneath the fields of a class."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[field.target.id] = str(after.value.value)
    return found


def _type(hint: Any) -> str:
    kind = bare(hint)
    if kind is Secret or kind in PARSERS:
        return {Path: "string, a path", Secret: "string, a secret"}.get(kind, "string")
    if kind in _NAMES:
        return _NAMES[kind]
    origin = get_origin(kind)
    if origin is Literal:
        return _NAMES[type(get_args(kind)[0])]
    if origin is tuple:
        item = get_args(kind)[0]
        return "array of tables" if is_section(item) else f"array of {_type(item)}s"
    if origin is Mapping:
        return f"table of {_type(get_args(kind)[1])}s"
    if origin in (types.UnionType, None) or get_args(kind):
        return " or ".join(_type(one) for one in get_args(kind))
    raise TypeError(f"there is no word for {hint}")


def _unit(hint: Any) -> str:
    metas = get_args(hint)[1:] if hint is not bare(hint) else ()
    for meta in metas:
        if isinstance(meta, Meta) and meta.extra and "unit" in meta.extra:
            return str(meta.extra["unit"])
    kind = bare(hint)
    if get_origin(kind) is Mapping:
        return _unit(get_args(kind)[1])
    return ""


def _shown(default: object) -> str:
    if default is None or default is NODEFAULT:
        return ""
    if isinstance(default, tuple) and not isinstance(default, Address):
        return f"[{', '.join(map(shown, default))}]"
    if isinstance(default, Mapping):
        return "{}"
    if isinstance(default, bool | int | float | str):
        return shown(default)
    return shown(str(default))


def _default(key: Key) -> str:
    if key.required:
        return "required"
    return code(key.default) if key.default else "none"


def _first(meaning: str) -> str:
    """The first sentence."""
    return re.split(r"(?<=[.;]) ", meaning)[0].rstrip(".;")


def _entry(key: Key) -> str:
    rows = [
        ("unit", key.unit or "none"),
        ("allowed", key.allowed),
        ("default", _default(key) + _long(key)),
        ("example", code(key.example)),
    ]
    only = ONLY_FOR.get(key.name) if key.section == "accounts.NAME" else None
    if only is not None:
        rows.append(("protocols", ", ".join(only)))
    if key.section == "accounts.NAME" and key.name in SGIP_KEYS:
        rows.append(("protocols", "sgip, where it is required"))
    place = f"{key.section}." if key.section else ""
    return "\n".join(
        (
            f"({anchor(key)})=",
            f"### {place}{key.name}",
            "",
            key.meaning,
            "",
            table(("type", key.type), rows),
        )
    )


def _long(key: Key) -> str:
    """Many seconds in a unit that people count in."""
    if key.unit != "seconds" or not key.default or float(key.default) < 2 * 3600:
        return ""
    days = float(key.default) / _DAY
    return f" ({days:g} {'day' if days == 1 else 'days'})"


def _header(section: str) -> str:
    return f"[[{section}]]" if section.endswith("nodes") else f"[{section}]"


def _limits() -> str:
    rows = [
        (
            protocol,
            ", ".join(limits.versions),
            str(limits.login),
            "any" if limits.password is None else str(limits.password),
            str(limits.service_id),
            str(limits.destinations),
            "any" if limits.window is None else str(limits.window),
        )
        for protocol, limits in LIMITS.items()
    ]
    header = (
        "protocol", "version", "login", "password", "service_id", "max_destinations", "window",
    )  # fmt: skip
    return "\n".join(
        (
            "### What fits in a protocol",
            "",
            "The most octets of `login`, `password` and `service_id`, the most recipients of one "
            "submit, and the most unanswered submits that the specification knows (more is "
            "possible and draws a warning):",
            "",
            table(header, rows),
        )
    )


_INTRODUCTIONS = {
    "accounts.NAME": "One set of credentials at one carrier. NAME is your own choice: "
    + str(hints_of.type_info(schema.Name).extra_json_schema["description"])  # type: ignore[attr-defined]
    + ".\n",
    "accounts.NAME.nodes": "One gateway address of an account, repeated for each.\n",
    "routes": "Carrier of the number to accounts, first usable wins.\n",
    "uncertain": "What was written to the gateway and not answered.\n",
    "simulate": "What `carrierd simulate` does; `run` takes no notice of it. A share is a "
    "probability per submit, from 0 to 1.\n",
    REPEATED: "What differs for one account: the keys of `[simulate]` but for `listen`, `seed`, "
    "`accounts`. One that is absent is as there.\n",
}

_BEGIN = """\
# Configuration

One TOML file. Unknown keys are errors; durations are seconds; relative paths are relative to the
file. Any secret `x` may instead be `x_file` (the path of a file with it on one line) or `x_env`
(the name of an environment variable). `carrierd check --config FILE` reports every fault as
`FILE:line: key: what is wrong, what is allowed`. SIGHUP reads the file again; what is opened at
start (`daemon.state_dir`, `[broker]`, listeners, `[http]`, tables) needs a restart, and the log
names each such key that changed.

This page is written by `make docs` from the schema that the daemon reads the file with.
"""
