"""Octets of any of the four protocols as PDUs with named fields, for people and for logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from .errors import DecodeError

VERSIONS: dict[str, tuple[str, ...]] = {
    "cmpp": ("2.0", "3.0"),
    "sgip": ("1.2",),
    "smgp": ("1.3", "3.0"),
    "smpp": ("3.4",),
}
"""What is known of each protocol, the newest last."""


class _Protocols(Mapping[str, ModuleType]):
    """The module of each protocol's PDUs, imported when it is asked for."""

    def __getitem__(self, name: str) -> ModuleType:
        if name not in VERSIONS:
            raise KeyError(name)
        return import_module(f".{name}.pdus", __package__)

    def __iter__(self) -> Iterator[str]:
        return iter(VERSIONS)

    def __len__(self) -> int:
        return len(VERSIONS)


PROTOCOLS: Mapping[str, ModuleType] = _Protocols()


@dataclass(slots=True, frozen=True)
class Explained:
    """One PDU: where it begins in the octets given, how long it is, and what it says."""

    pdu: str
    version: str
    offset: int
    length: int
    fields: dict[str, Any]


def versions(protocol: str) -> list[str]:
    """What `explain` knows of a protocol, the newest last."""
    return list(VERSIONS[protocol])


def newest(protocol: str) -> str:
    return versions(protocol)[-1]


def explain(protocol: str, version: str | None, data: bytes) -> Iterator[Explained]:
    """Every PDU of `data`, in order; the newest version when None.

    Raises DecodeError after the last PDU that can be read; its `offset` is that of the first wrong
    octet in `data`.
    """
    module = PROTOCOLS[protocol]
    speaks = newest(protocol) if version is None else version
    header, longest = module.HEADER, module.LONGEST
    at = 0
    while at < len(data):
        if len(data) - at < header.size:
            raise DecodeError(
                f"cut short: {len(data) - at} octets at {at}, a header has {header.size}",
                offset=len(data),
            )
        head = header.unpack_from(data, at)
        length, command = head[:2]
        if not header.size <= length <= longest:
            raise DecodeError(
                f"the PDU at {at} says that it has {length} octets, "
                f"{header.size} to {longest} are allowed",
                offset=at,
            )
        if len(data) - at < length:
            raise DecodeError(
                f"cut short: the PDU at {at} says that it has {length} octets, "
                f"{len(data) - at} are there",
                offset=len(data),
            )
        try:
            name, body = module.decode_body(speaks, command, data[at : at + length])
        except DecodeError as exc:
            raise DecodeError(str(exc), offset=at + exc.offset, status=exc.status) from exc
        fields = {**module.show_header(head), **body.show()}
        if protocol == "smpp" and length == header.size and command >> 31:
            fields["omit_body"] = True  # a response may leave its body out (3.4 section 4.1.2)
        yield Explained(name, speaks, at, length, fields)
        at += length
