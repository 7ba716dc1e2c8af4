"""What a wiretap shows of a PDU: its fields, with words for what is hidden."""

from __future__ import annotations

from typing import Any

from protocols.errors import DecodeError
from protocols.explain import explain
from protocols.hide import VISIBLE


def read(protocol: str, version: str, pdu: bytes) -> dict[str, Any]:
    """As `carrierd decode --json`, less the offset; `error` when it cannot be read."""
    try:
        [found] = explain(protocol, version, pdu)
    except DecodeError as exc:
        return {
            "pdu": "unreadable",
            "version": version,
            "length": len(pdu),
            "fields": {},
            "error": str(exc),
        }
    fields = dict(found.fields)
    name = f"{VISIBLE[protocol].content}_hex"
    if fields.get(name):
        fields[name] = _content(bytes.fromhex(fields[name]), fields)
    for key in fields:
        if key.startswith("authenticator"):
            fields[key] = "***"
    report = fields.get("report")
    if report and report.get("text_hex"):
        fields["report"] = report | {"text_hex": hidden(len(report["text_hex"]) // 2)}
    for parameter in fields.get("tlv", ()):
        value = parameter["value_hex"]
        if value and value == "2a" * (len(value) // 2):
            parameter["value_hex"] = hidden(len(value) // 2)
    return {"pdu": found.pdu, "version": version, "length": found.length, "fields": fields}


def _content(content: bytes, fields: dict[str, Any]) -> str:
    """A report that is spelled in words stays readable: its text is stars already."""
    if "report" in fields:
        return hidden(len(content))
    if b"stat:" in content:
        return content.decode("latin-1")
    return hidden(len(content))


def hidden(octets: int) -> str:
    """What stands for a text."""
    return f"*** ({octets} octets)"
