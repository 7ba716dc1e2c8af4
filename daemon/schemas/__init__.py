"""JSON Schemas of the records on the topics, and the AsyncAPI document that names the topics.

For whoever writes jobs and reads reports; the daemon itself decodes with compiled structures.
Tests hold both against each other.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec

NAMES = ("job", "report", "inbound", "dead", "asyncapi")
"""What `text` and `load` know: four JSON Schemas (2020-12) and AsyncAPI 3."""


def text(name: str) -> str:
    """The file as it is shipped.  Raises KeyError for a name that is not in `NAMES`."""
    if name not in NAMES:
        raise KeyError(name)
    return (files(__name__) / f"{name}.json").read_text(encoding="utf-8")


def load(name: str) -> dict[str, Any]:
    """The document.  Raises KeyError for a name that is not in `NAMES`."""
    return msgspec.json.decode(text(name), type=dict[str, Any])
