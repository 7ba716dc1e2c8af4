"""The dashboards as Grafana would read them, and what they ask Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .rules import ROOT

HERE = ROOT / "config" / "grafana"
LANGUAGES = ("en", "zh")
NAMES = sorted(path.stem for path in (HERE / "dashboards" / "en").glob("*.json"))

Board = dict[str, Any]


def board(language: str, name: str) -> Board:
    found: Board = json.loads(path(language, name).read_text(encoding="utf-8"))
    return found


def path(language: str, name: str) -> Path:
    return HERE / "dashboards" / language / f"{name}.json"


def panels(of: Board) -> list[dict[str, Any]]:
    return [panel for panel in of["panels"] if panel["type"] != "row"]


def targets(of: Board) -> list[str]:
    """Its queries as they are, in order."""
    return [target["expr"] for panel in panels(of) for target in panel["targets"]]


def queries() -> Iterator[str]:
    """All of them with every variable set to all, and of its variables what their lists are of."""
    for name in NAMES:
        of = board("en", name)
        for expression in targets(of):
            yield filled(expression)
        for variable in of["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(
                    r"label_values\((.*), (\w+)\)", variable["query"]["query"]
                ).groups()  # type: ignore[union-attr]
                yield f"count by ({label}) ({filled(metric)})"


def filled(expression: str) -> str:
    found = expression.replace("$__rate_interval", "1m")
    return re.sub(r"\$(instance|carrier|account)\b", ".*", found)
