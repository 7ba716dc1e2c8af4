"""A dashboard: its variables, and rows of panels laid out from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .panels import SOURCE, Json, Language, Panel, Text, spell

Variable = Literal["instance", "carrier", "account"]

COLUMNS = 24
SCHEMA = 38
"""Of Grafana 10; newer ones read it and bring it up to theirs."""

LABELS: dict[Variable, tuple[Text, str]] = {
    "instance": (Text("Instance", "实例"), "label_values(carrierd_build_info, instance)"),
    "carrier": (
        Text("Carrier", "运营商"),
        'label_values(carrierd_account_info{instance=~"$instance"}, carrier)',
    ),
    "account": (
        Text("Account", "账号"),
        'label_values(carrierd_account_info{instance=~"$instance", carrier=~"$carrier"}, account)',
    ),
}


@dataclass(frozen=True)
class Row:
    title: Text
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Board:
    name: str
    """Of its file, and in its address."""
    title: Text
    about: Text
    variables: Sequence[Variable]
    rows: Sequence[Row]


def spell_board(board: Board, language: Language) -> Json:
    """The dashboard as Grafana's JSON."""
    return {
        "uid": f"carrierd-{board.name}-{language}",
        "title": board.title.of(language),
        "description": board.about.of(language),
        "tags": ["carrierd", language],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "schemaVersion": SCHEMA,
        "time": {"from": "now-1h", "to": "now"},
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": Text("Other dashboards", "其他面板").of(language),
                "tags": ["carrierd", language],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {
            "list": [_source(language), *(_variable(each, language) for each in board.variables)]
        },
        "panels": _laid_out(board.rows, language),
    }


def _source(language: Language) -> Json:
    return {
        "name": "datasource",
        "label": Text("Data source", "数据源").of(language),
        "type": "datasource",
        "query": "prometheus",
        "current": {"selected": True, "text": "carrierd", "value": "carrierd"},
        "hide": 0,
    }


def _variable(name: Variable, language: Language) -> Json:
    label, query = LABELS[name]
    return {
        "name": name,
        "label": label.of(language),
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "sort": 1,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _laid_out(rows: Sequence[Row], language: Language) -> list[Json]:
    found: list[Json] = []
    y = 0
    for row in rows:
        found.append(
            {
                "id": len(found) + 1,
                "type": "row",
                "title": row.title.of(language),
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
                "panels": [],
            }
        )
        y += 1
        x = highest = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, highest = 0, y + highest, 0
            found.append(spell(panel, language, len(found) + 1, x, y))
            x += panel.width
            highest = max(highest, panel.height)
        y += highest
    return found
