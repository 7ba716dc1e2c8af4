"""What the contract says of any event, whatever became of the message."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from jsonschema import Draft202012Validator

from daemon import schemas

from .process import FINAL, Published

KEYS = [
    "v", "job", "message", "tenant", "to", "state", "final", "cause", "code", "stage", "carrier",
    "account", "node", "parts", "bill_units", "attempts", "carrier_ids", "times", "meta",
]  # fmt: skip
TIMES = ["produced", "received", "submitted", "answered", "reported"]
STATES = {"accepted", "uncertain", *FINAL}
CAUSES = {
    "delivered", "absent", "unknown_number", "suspended", "blacklist", "content", "flow",
    "signature", "route", "memory", "handset", "sender", "unknown",
}  # fmt: skip
LOCAL = {
    f"LOCAL:{word}"
    for word in (
        "BAD_NUMBER", "IOT_NUMBER", "DUPLICATE", "NO_ROUTE", "ACCOUNT", "EXT", "ENCODING",
        "STOPPED", "QUEUE_EXPIRED", "NO_REPORT", "NO_RESP",
    )
}  # fmt: skip
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d\Z")
INBOUND = [
    "v", "id", "from", "to", "ext", "text", "carrier", "account", "node", "received", "parts",
    "complete",
]  # fmt: skip
SCHEMAS = {
    topic: Draft202012Validator(schemas.load(name))
    for topic, name in (("reports", "report"), ("inbound", "inbound"), ("dead", "dead"))
}
_fitting: set[tuple[object, ...]] = set()
"""Shapes of records that fit their schema: ten thousand alike need no ten thousand looks."""
DEAD = {"v", "topic", "partition", "offset", "field", "error", "value_base64"}


def faults(
    published: dict[str, list[Published]], offset: timedelta, divided: Collection[str] = ()
) -> list[str]:
    """Everything about these records that the contract does not allow.

    `divided`: messages that two daemons had for a while, whose events may come in any order.
    """
    found: list[str] = []
    for record in published["reports"]:
        found += [f"{wrong}: {record.value}" for wrong in event_faults(record, offset)]
    reports = (record.value for record in published["reports"])
    found += _orders(event for event in reports if event.get("message") not in divided)
    for record in published["inbound"]:
        value = record.value
        if set(value) != set(INBOUND) or value["v"] != 1 or record.key != value["from"]:
            found.append(f"inbound {record}")
        if not STAMP.match(value["received"]) or not isinstance(value["complete"], bool):
            found.append(f"inbound {record}")
    for record in published["dead"]:
        if set(record.value) != DEAD or record.value["v"] != 1:
            found.append(f"dead {record}")
    for topic, records in published.items():
        found += [fault for record in records for fault in _schema_faults(topic, record.value)]
    for record in (r for records in published.values() for r in records):
        if record.content_type != "application/json":
            found.append(f"content type {record.content_type} of {record.topic}")
    return found


def _schema_faults(topic: str, value: dict[str, Any]) -> Iterable[str]:
    """What the JSON Schema that we ship does not allow."""
    words = tuple(value.get(key) for key in ("state", "final", "cause", "stage", "code", "field"))
    shape = (topic, *words, *((key, type(one)) for key, one in value.items()))
    if shape not in _fitting:
        wrong = [
            f"schema of {topic}: {e.message}: {value}" for e in SCHEMAS[topic].iter_errors(value)
        ]
        if not wrong:
            _fitting.add(shape)
        yield from wrong


def event_faults(record: Published, offset: timedelta) -> Iterable[str]:
    event = record.value
    if set(event) != set(KEYS):
        yield f"keys {sorted(set(event) ^ set(KEYS))}"
        return
    if record.key != event["job"]:
        yield f"key {record.key}"
    if event["v"] != 1 or event["state"] not in STATES:
        yield "v or state"
    if event["final"] is not (event["state"] in FINAL) and event["state"] != "accepted":
        yield "final"
    if not event["message"].startswith(event["job"] + "/"):
        yield "message id"
    state, cause, code, stage = (event[k] for k in ("state", "cause", "code", "stage"))
    if state in ("accepted", "uncertain"):
        if cause is not None:
            yield "a cause of what is not over"
    elif cause is not None and cause not in CAUSES:
        yield f"cause {cause}"
    if state == "rejected" and stage not in ("gate", "submit"):
        yield f"stage {stage}"
    if stage == "gate" and code not in LOCAL:
        yield f"code {code}"
    if state in ("delivered", "undelivered") and stage != "report":
        yield f"stage {stage}"
    if not isinstance(event["carrier_ids"], list) or not isinstance(event["meta"], dict):
        yield "carrier_ids or meta"
    if not all(isinstance(one, str) for one in event["carrier_ids"] if one is not None):
        yield "carrier_ids"
    for key in ("parts", "bill_units", "attempts"):
        if event[key] is not None and not isinstance(event[key], int):
            yield key
    yield from _times(event["times"], offset)


def _times(times: dict[str, Any], offset: timedelta) -> Iterable[str]:
    if set(times) != set(TIMES):
        yield f"times {sorted(times)}"
        return
    known = []
    for key in TIMES:
        stamp = times[key]
        if stamp is None:
            continue
        if not STAMP.match(stamp):
            yield f"times.{key}"
            continue
        at = datetime.fromisoformat(stamp)
        if at.utcoffset() != offset:
            yield f"the offset of times.{key}"
        known.append((key, at))
    if times["produced"] is None or times["received"] is None:
        yield "a time that is always known"
    by = dict(known)
    if {"received", "submitted"} <= set(by) and by["received"] > by["submitted"]:
        yield "submitted before received"
    if {"submitted", "answered"} <= set(by) and by["submitted"] > by["answered"]:
        yield "answered before submitted"


def _orders(events: Iterable[dict[str, Any]]) -> Iterable[str]:
    """accepted → final; nothing after the final event, except a repeat of it."""
    ends: dict[str, dict[str, Any]] = {}
    accepted: set[str] = set()
    for event in events:
        name = event.get("message", "")
        end = ends.get(name)
        if end is not None and (event["state"], event["attempts"]) != (
            end["state"],
            end["attempts"],
        ):
            yield f"after the final {end}: {event}"
        if event["state"] == "uncertain" and name in accepted:
            yield f"uncertain after accepted: {event}"
        if event["state"] == "accepted":
            accepted.add(name)
        if event["final"]:
            ends[name] = event
