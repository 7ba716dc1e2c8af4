"""The golden vectors, and bodies made of their fields."""

from __future__ import annotations

import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

from protocols.explain import PROTOCOLS
from protocols.sgip.pdus import Nodes, SequenceOctets, TraceNode
from protocols.smpp.pdus import Destination, Destinations, DistributionList, Failure, Failures
from protocols.wire import Body, Counted, Octets, Texts, Tlvs

HERE = Path(__file__).parent.parent / "vectors"
FILES = sorted(HERE.glob("*[0-9].json")) + sorted(HERE.glob("fixtures_*.json"))

# 5.0 differs by parameters that are read under 3.4 as well.
READ_AS = {("smpp", "5.0"): "3.4"}


@cache
def load(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((HERE / name).read_text())
    return found


def pdus() -> list[dict[str, Any]]:
    return [v for path in FILES for v in load(path.name) if v["pdu"] != "report_body"]


def version(vector: dict[str, Any]) -> str:
    said: str = vector["version"]
    return READ_AS.get((vector["protocol"], said), said)


def command(vector: dict[str, Any]) -> int:
    """The command id of a vector's PDU."""
    known = PROTOCOLS[vector["protocol"]].PDUS[version(vector)]
    (found,) = [number for number, (name, _) in known.items() if name == vector["pdu"]]
    return int(found)


def header(vector: dict[str, Any], length: int) -> bytes:
    """A header of the fields that stand there."""
    said, number = vector["fields"], command(vector)
    if vector["protocol"] == "sgip":
        return struct.pack("!II3I", length, number, *said["sequence"])
    if vector["protocol"] == "smpp":
        return struct.pack("!IIII", length, number, said["command_status"], said["sequence_id"])
    return struct.pack("!III", length, number, said["sequence_id"])


def body(cls: type[Body], said: dict[str, Any]) -> Body:
    """A body of the fields that a vector names; the others keep their defaults."""
    given: dict[str, Any] = {}
    for name, kind in cls._kinds.items():
        if f"{name}_hex" in said and isinstance(kind, Octets | Counted):
            given[name] = bytes.fromhex(said[f"{name}_hex"])
        elif name in said:
            given[name] = _value(kind, said[name])
    return cls(**given)


def _value(kind: Any, said: Any) -> Any:
    if isinstance(kind, Texts):
        return tuple(said)
    if isinstance(kind, Tlvs):
        return tuple(_tlv(item) for item in said)
    if isinstance(kind, SequenceOctets):
        return struct.pack("!III", *said)
    if isinstance(kind, Nodes):
        return tuple(TraceNode(**item) for item in said)
    if isinstance(kind, Failures):
        return tuple(Failure(**item) for item in said)
    if isinstance(kind, Destinations):
        return tuple(_destination(item) for item in said)
    return said


def _tlv(item: Any) -> tuple[int, bytes]:
    if isinstance(item, dict):
        return int(item["tag"], 16), bytes.fromhex(item["value_hex"])
    tag, value = item
    return int(tag, 16), bytes.fromhex(value)


def _destination(item: dict[str, Any]) -> Destination | DistributionList:
    said = {name: value for name, value in item.items() if name != "dest_flag"}
    return DistributionList(**said) if item.get("dest_flag") == 2 else Destination(**said)
