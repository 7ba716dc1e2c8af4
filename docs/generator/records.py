"""The record reference: jobs, reports, inbound messages and dead records, from their schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from daemon import schemas

from .markdown import block, code, table

RECORDS = ("job", "report", "inbound", "dead")


def page() -> str:
    """The record reference in Markdown."""
    parts = [_BEGIN]
    for name in RECORDS:
        parts += _record(name, schemas.load(name))
    parts.append(_ASYNCAPI)
    return "\n".join(parts)


def _record(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"## {schema['title']}\n"
    yield f"{schema['description']} JSON Schema: [{name}.json](../../daemon/schemas/{name}.json).\n"
    for example in schema["examples"]:
        yield block(json.dumps(example, ensure_ascii=False, indent=2), "json")
    yield table(("field", "type", "", "what"), _fields(schema))


def _fields(schema: dict[str, Any], before: str = "") -> Iterator[tuple[str, str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        must = "required" if name in required else _default(field)
        yield code(before + name), _type(field), must, field["description"]
        if "properties" in field:
            yield from _fields(field, f"{before}{name}.")


def _default(field: dict[str, Any]) -> str:
    return f"default {code(json.dumps(field['default']))}" if "default" in field else "optional"


def _type(field: dict[str, Any]) -> str:
    """The type in a few words."""
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"])
    if "const" in field:
        return code(json.dumps(field["const"]))
    if "enum" in field:
        return ", ".join("null" if one is None else code(one) for one in field["enum"])
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    said = " or ".join(_kind(kind, field) for kind in kinds)
    return f"{said}{_size(field)}"


def _kind(kind: str, field: dict[str, Any]) -> str:
    if kind == "array":
        return f"array of {field['items']['type']}s"
    return "time" if kind == "string" and field.get("format") == "date-time" else kind


def _size(field: dict[str, Any]) -> str:
    least, most = (
        field.get(key) or field.get(other)
        for key, other in (("minLength", "minItems"), ("maxLength", "maxItems"))
    )
    if most is not None:
        return f", {least or 0} to {most}"
    return ", not empty" if least else ""


_BEGIN = """\
# Records

What goes into the topics and what comes out of them. With the `local` broker partition is 0 and
offsets count from 0.

This page is written by `make docs` from the JSON Schemas (2020-12) that the daemon ships with:
`daemon/schemas/*.json`, which `python -m daemon.schemas job` (or `report`, `inbound`, `dead`,
`asyncapi`) prints. Tests hold them against the decoder, both ways, and against the records of
running daemons.
"""

_ASYNCAPI = """\
## AsyncAPI

[asyncapi.json](../../daemon/schemas/asyncapi.json) (AsyncAPI 3.0) names topics, directions, keys
and headers and refers to the schemas beside it, for generators of clients and for catalogues.
"""
