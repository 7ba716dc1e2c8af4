"""What a panel shows, in two languages, and how Grafana's JSON spells it.

A panel knows nothing of its place: boards are rows of panels, and `board.py` lays them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Language = Literal["en", "zh"]
Kind = Literal["stat", "timeseries", "heatmap", "table", "state-timeline"]
Json = dict[str, Any]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"


class Text(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str

    def of(self, language: Language) -> str:
        return self.en if language == "en" else self.zh


class Query(NamedTuple):
    """`legend` names its series; of a table it is the column."""

    expression: str
    legend: str | Text = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    kind: Kind
    title: Text
    queries: tuple[Query, ...]
    about: Text | None = None
    """Shown when somebody asks."""
    unit: str = "short"
    """Of Grafana's: `s`, `percentunit`, `bytes`, `ops`."""
    width: int = 8
    """Of 24."""
    height: int = 8
    steps: tuple[tuple[str, float | None], ...] = ()
    """Colours, each from a value on; the first from None."""
    lowest: float | None = None
    highest: float | None = None
    stacked: bool = False
    words: Mapping[int, tuple[Text, str]] = field(default_factory=dict)
    """What values are called, and their colours."""
    hidden: tuple[str, ...] = ()
    """Columns that a table leaves out."""


def stat(title: Text, expression: str, **more: Any) -> Panel:
    return Panel(
        kind="stat", title=title, queries=(Query(expression),), **{"width": 3, "height": 4, **more}
    )


def graph(title: Text, *queries: Query, **more: Any) -> Panel:
    return Panel(kind="timeseries", title=title, queries=queries, **more)


def heatmap(title: Text, expression: str, **more: Any) -> Panel:
    """Of an increase by `le`."""
    queries = (Query(expression, "{{le}}"),)
    return Panel(kind="heatmap", title=title, queries=queries, unit="s", **more)


def table(title: Text, *queries: Query, **more: Any) -> Panel:
    """Rows by the labels, a column for each query."""
    return Panel(kind="table", title=title, queries=queries, **more)


def timeline(title: Text, *queries: Query, **more: Any) -> Panel:
    return Panel(kind="state-timeline", title=title, queries=queries, **more)


def spell(panel: Panel, language: Language, number: int, x: int, y: int) -> Json:
    """The panel as Grafana's JSON, in its place."""
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title.of(language),
        "description": panel.about.of(language) if panel.about is not None else "",
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": [
            _target(panel, query, "ABCDEFGHIJ"[place], language)
            for place, query in enumerate(panel.queries)
        ],
        "fieldConfig": _fields(panel, language),
        "options": _options(panel),
        "transformations": _transformations(panel, language),
    }


def _target(panel: Panel, query: Query, ref: str, language: Language) -> Json:
    legend = query.legend if isinstance(query.legend, str) else query.legend.of(language)
    now = panel.kind in ("stat", "table")
    shape = {"heatmap": "heatmap", "table": "table"}.get(panel.kind, "time_series")
    return {
        "refId": ref,
        "datasource": SOURCE,
        "expr": query.expression,
        "legendFormat": legend or "__auto",
        "format": shape,
        "instant": now,
        "range": not now,
    }


def _fields(panel: Panel, language: Language) -> Json:
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "thresholds": {
            "mode": "absolute",
            "steps": [
                {"color": color, "value": value} for color, value in panel.steps or ((BLUE, None),)
            ],
        },
        "mappings": [
            {
                "type": "value",
                "options": {
                    str(value): {"text": text.of(language), "color": color, "index": place}
                    for place, (value, (text, color)) in enumerate(panel.words.items())
                },
            }
        ]
        if panel.words
        else [],
    }
    if panel.lowest is not None:
        defaults["min"] = panel.lowest
    if panel.highest is not None:
        defaults["max"] = panel.highest
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 25 if panel.stacked else 5,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if panel.steps else "off"},
        }
    if panel.kind == "table":
        defaults["custom"] = {"align": "auto", "cellOptions": {"type": "color-text"}}
    return {"defaults": defaults, "overrides": []}


def _options(panel: Panel) -> Json:
    if panel.kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background",
            "graphMode": "none",
            "textMode": "auto",
            "justifyMode": "center",
        }
    if panel.kind == "timeseries":
        return {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind == "heatmap":
        return {
            "calculate": False,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Spectral", "steps": 64, "reverse": True},
            "yAxis": {"axisPlacement": "left", "unit": panel.unit},
            "cellValues": {"unit": "short"},
            "tooltip": {"show": True, "yHistogram": True},
            "legend": {"show": True},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "rowsFrame": {"layout": "auto"},
        }
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}}
    return {
        "showValue": "auto",
        "mergeValues": True,
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "single"},
    }


def _transformations(panel: Panel, language: Language) -> list[Json]:
    """Tables: one row for the same labels, and columns by their names."""
    if panel.kind != "table":
        return []
    names = {}
    for place, query in enumerate(panel.queries):
        name = query.legend if isinstance(query.legend, str) else query.legend.of(language)
        value = f"Value #{'ABCDEFGHIJ'[place]}" if len(panel.queries) > 1 else "Value"
        names[value] = name
    hidden = dict.fromkeys(("Time", "__name__", "job", *panel.hidden), True)
    return [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": names},
        },
    ]
