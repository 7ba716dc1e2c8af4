"""The report's drawing, read as the XML that it is."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest

from bench.plot import HEIGHT, LEFT, RIGHT, TOP, WIDTH, Panel, Series, svg
from bench.result import Result, none_of, report

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*panels: Panel) -> ElementTree.Element:
    return ElementTree.fromstring(svg("a <title>", panels))


def words(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_lines_stay_within_their_panel_and_higher_values_are_higher_up() -> None:
    root = drawn(Panel("p", "x", "y", [Series("s", [(0, 1), (50, 70), (100, 3)])]))
    (line,) = root.iter(f"{SVG}polyline")
    places = [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT for x, y in places)
    assert places[1][1] < places[2][1] < places[0][1]


def test_titles_axes_and_names_of_lines_are_there_as_they_were_given() -> None:
    root = drawn(Panel("p", "load & more", "ms", [Series("p50 < p99", [(1, 1), (2, 2)])]))
    assert {"a <title>", "p", "load & more", "ms", "p50 < p99"} <= set(words(root))


def test_a_logarithmic_axis_has_its_decades_and_leaves_out_what_is_not_above_zero() -> None:
    points = [(0, 5), (1000, 0.5), (100_000, 40), (1_000_000, math.nan)]
    root = drawn(Panel("p", "x", "y", [Series("s", points)], log_x=True, log_y=True))
    assert len(list(root.iter(f"{SVG}circle"))) == 2
    assert {"1k", "10k", "100k", "0.1", "1", "10", "100"} <= set(words(root))


def test_points_that_are_not_joined_have_no_line() -> None:
    root = drawn(Panel("p", "x", "y", [Series("s", [(1, 1), (2, 5)])], joined=False))
    assert len(list(root.iter(f"{SVG}circle"))) == 2
    assert list(root.iter(f"{SVG}polyline")) == []


@pytest.mark.parametrize("value", [0.0, 1.0, 7.3, 123_456.0])
def test_one_point_alone_can_be_drawn(value: float) -> None:
    root = drawn(Panel("p", "x", "y", [Series("s", [(value, value)])]))
    (circle,) = root.iter(f"{SVG}circle")
    assert LEFT <= float(circle.attrib["cx"]) <= WIDTH - RIGHT


def test_a_panel_without_points_says_so() -> None:
    assert "nothing measured" in words(drawn(Panel("p", "x", "y", [Series("s", [])])))


def test_a_report_is_the_json_and_a_drawing_where_there_is_one(tmp_path: Path) -> None:
    result = Result("s", {}, {"cpu": "c", "python": "3"}, [none_of("lost", [0])])
    assert report(result, tmp_path / "new") == [tmp_path / "new" / "s.json"]
    assert orjson.loads((tmp_path / "new" / "s.json").read_bytes()) == result.show()
    result.panels.append(Panel("p", "x", "y", [Series("s", [(1, 1)])]))
    assert report(result, tmp_path) == [tmp_path / "s.json", tmp_path / "s.svg"]
    ElementTree.parse(tmp_path / "s.svg")
