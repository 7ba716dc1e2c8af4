"""What may be asked of a running daemon, as types: the line's `do` says which of these it is."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

How = Literal["paused", "drained"]
PAUSED: How = "paused"
DRAINED: How = "drained"
LevelName = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[LevelName, ...] = get_args(LevelName)
DAY = 86400.0
LONGEST = 4096
"""Octets of a request."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=DAY)]


class _Request(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"
):
    pass


class Status(_Request, frozen=True, kw_only=True, tag="status"):
    """The body of `/status`."""


class Hold(_Request, frozen=True, kw_only=True, tag="hold"):
    """An account, or one node of it, takes no more submits; `drained` also logs out."""

    how: How
    account: Name
    node: Name | None = None


class Resume(_Request, frozen=True, kw_only=True, tag="resume"):
    """An end to what was held."""

    account: Name
    node: Name | None = None


class Level(_Request, frozen=True, kw_only=True, tag="loglevel"):
    """What is logged from now on; after `seconds` as it was configured at start again."""

    level: LevelName
    seconds: Seconds | None = None


class Wiretap(_Request, frozen=True, kw_only=True, tag="wiretap"):
    """What goes over an account's connections, for so many seconds."""

    account: Name
    node: Name | None = None
    seconds: Seconds


Request = Status | Hold | Resume | Level | Wiretap
_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


def read(line: bytes) -> Request:
    """Raises ValueError, whose text says what is wrong."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ValueError(str(exc)) from exc


def spell(request: Request) -> bytes:
    """The request's line."""
    return msgspec.json.encode(request) + b"\n"
