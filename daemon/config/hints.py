"""The schema's annotations, read: how a value of each type is parsed, and what to call it.

The words an operator sees for "what is allowed" come from the bounds themselves, so they
cannot say something else than what is checked.
"""

from __future__ import annotations

import functools
import json
import operator
import types
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct, inspect

from .schema import Address, Network

_NO_END = 2**63


class Parser(NamedTuple):
    """How a type of our own is read from a string, and what to call it."""

    parse: Callable[[str], object]
    """Raises ValueError."""
    allowed: str


def address(text: str) -> Address:
    """`host:port` as an Address.  Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(text)
    if not (colon and host and port.isascii() and port.isdigit() and len(port) <= 5):
        raise ValueError(text)
    if int(port) > 65535 or any(c.isspace() or c in "/[]" for c in host):
        raise ValueError(text)
    return Address(host, int(port))


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, OSError) as exc:
        raise ValueError(text) from exc


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(text)
    return Path(text)


PARSERS: dict[object, Parser] = {
    Address: Parser(address, "host:port, the port from 0 to 65535"),
    Path: Parser(_path, "the path of a file or folder"),
    ZoneInfo: Parser(_zone, 'the name of a time zone such as "Asia/Shanghai"'),
    Network: Parser(
        ip_network, 'a network such as "10.0.0.0/8" (no host bits) or an address "10.0.0.1"'
    ),
}


def without_none(hint: Any) -> tuple[Any, bool]:
    """`X` and True for `X | None`."""
    if get_origin(hint) in (Union, types.UnionType) and types.NoneType in get_args(hint):
        rest = (one for one in get_args(hint) if one is not types.NoneType)
        return functools.reduce(operator.or_, rest), True
    return hint, False


def bare(hint: Any) -> Any:
    """The type without its bounds."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def is_section(hint: Any) -> bool:
    """Whether it is a table of its own in the file."""
    return isinstance(hint, type) and issubclass(hint, Struct)


def lengths(hint: Any) -> tuple[int, int]:
    """Least and most elements of an array."""
    metas = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    least = max((meta.min_length or 0 for meta in metas), default=0)
    most = min((meta.max_length or _NO_END for meta in metas), default=_NO_END)
    return least, most


def allowed(hint: Any) -> str:
    """What may stand there, for people."""
    hint, _ = without_none(hint)
    kind = bare(hint)
    if kind in PARSERS:
        return PARSERS[kind].allowed
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        least, most = lengths(hint)
        count = f"{least} or more" if most == _NO_END else f"{least} to {most}"
        if is_section(item):
            return f"an array of {count} tables"
        return f"an array of {count}, each {allowed(item)}"
    if get_origin(kind) is Mapping:
        return f"a table, each value {allowed(get_args(kind)[1])}"
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(shown(value) for value in get_args(kind))
    return _said(inspect.type_info(hint))


def _said(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata):
        described = (info.extra_json_schema or {}).get("description")
        if described:
            return str(described)
        extra = info.extra or {}
        aside = "; ".join(extra[key] for key in ("unit", "why") if key in extra)
        return _said(info.type) + (f" ({aside})" if aside else "")
    if isinstance(info, inspect.UnionType):
        return ", or ".join(_said(one) for one in info.types)
    if isinstance(info, inspect.BoolType):
        return "true or false"
    if isinstance(info, inspect.StrType):
        if info.max_length is None:
            return "a string"
        return f"a string of {info.min_length or 0} to {info.max_length} characters"
    if isinstance(info, inspect.IntType):
        return f"an integer from {info.ge} to {info.le}"
    if isinstance(info, inspect.FloatType):
        if info.gt is not None:
            return f"a number above {info.gt:g}, at most {info.le:.10g}"
        return f"a number from {info.ge:.10g} to {info.le:.10g}"
    raise TypeError(f"there are no words for {info}")


def kind_of(value: object) -> str:
    """TOML's name for the kind of value."""
    for kind, name in (
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a number"),
        (str, "a string"),
        (dict, "a table"),
        (list, "an array"),
    ):
        if isinstance(value, kind):
            return name
    return "a date or time"


def shown(value: object) -> str:
    """A short, one-line form of a value that is no secret."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value if len(value) <= 60 else value[:57] + "..."
        return json.dumps(text, ensure_ascii=not text.isprintable())
    if isinstance(value, int | float):
        # TOML has integers of any length; Python refuses to print the longest.
        return str(value) if abs(value) < 1e300 else "a number beyond any range"
    return kind_of(value)
