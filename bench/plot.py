"""Lines over axes, as SVG: what a report of the bench shows, and nothing else.

Drawn here rather than by a library: three kinds of figures on straight or logarithmic axes are a
page of code, and matplotlib with what it needs is larger than the daemon and all that it needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 320
"""Of one panel, in pixels."""
LEFT, RIGHT, TOP, BOTTOM = 80, 200, 40, 50
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe and Ito's, which people who see few colours can tell apart."""
FONT = "font-family='sans-serif' font-size='12'"
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
LINES = 6
"""About so many lines of a grid on a straight axis."""


@dataclass(slots=True, frozen=True)
class Series:
    name: str
    points: Sequence[tuple[float, float]]
    """In rising order of x; those that cannot be drawn, not finite or on a logarithmic axis not
    above 0, are left out."""


@dataclass(slots=True, frozen=True)
class Panel:
    title: str
    x: str
    y: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False
    joined: bool = True
    """Whether lines go from point to point."""


@dataclass(slots=True, frozen=True)
class _Axis:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool
    step: float = 0.0
    """Between two lines of the grid of a straight one."""

    def at(self, value: float) -> float:
        low, high, here = self.low, self.high, value
        if self.log:
            low, high, here = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (here - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if not self.log:
            count = round((self.high - self.low) / self.step)
            return [self.low + number * self.step for number in range(count + 1)]
        decades = range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
        return [10.0**decade for decade in decades]


def svg(title: str, panels: Sequence[Panel]) -> str:
    """A whole file; panels stand one above the other."""
    height = HEIGHT * len(panels) + 30
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}'"
        f" viewBox='0 0 {WIDTH} {height}' {FONT}>",
        f"<rect width='{WIDTH}' height='{height}' fill='white'/>",
        _text(WIDTH / 2, 20, title),
    ]
    for number, panel in enumerate(panels):
        lines.append(f"<g transform='translate(0 {30 + number * HEIGHT})'>")
        lines += _panel(panel)
        lines.append("</g>")
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel) -> Iterator[str]:
    drawn = [Series(one.name, _drawable(one, panel)) for one in panel.series]
    points = [point for one in drawn for point in one.points]
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield _text(middle, 25, panel.title)
    if not points:
        yield _text(middle, HEIGHT / 2, "nothing measured")
        return
    xs, ys = zip(*points, strict=True)
    across = _axis(xs, LEFT, WIDTH - RIGHT, panel.log_x)
    up = _axis(ys, HEIGHT - BOTTOM, TOP, panel.log_y)
    yield from _grid(across, up)
    yield _text(middle, HEIGHT - 10, panel.x)
    yield f"<g transform='translate(16 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)'>"
    yield _text(0, 0, panel.y)
    yield "</g>"
    for number, one in enumerate(drawn):
        colour = COLOURS[number % len(COLOURS)]
        yield from _line(one, across, up, colour, panel.joined)
        y = TOP + 8 + 18 * number
        place = WIDTH - RIGHT + 14
        yield f"<rect x='{place}' y='{y - 8}' width='14' height='4' fill='{colour}'/>"
        yield _text(place + 20, y, one.name, "start")


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{escape(words)}</text>"


def _drawable(series: Series, panel: Panel) -> list[tuple[float, float]]:
    return [
        (x, y)
        for x, y in series.points
        if math.isfinite(x)
        and math.isfinite(y)
        and (x > 0 or not panel.log_x)
        and (y > 0 or not panel.log_y)
    ]


def _grid(across: _Axis, up: _Axis) -> Iterator[str]:
    for value in across.ticks():
        x = across.at(value)
        yield f"<path d='M{x:.1f} {TOP}V{HEIGHT - BOTTOM}' stroke='#dddddd'/>"
        yield _text(x, HEIGHT - BOTTOM + 18, _word(value))
    for value in up.ticks():
        y = up.at(value)
        yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='#dddddd'/>"
        yield _text(LEFT - 8, y + 4, _word(value), "end")


def _line(series: Series, across: _Axis, up: _Axis, colour: str, joined: bool) -> Iterator[str]:
    places = [(across.at(x), up.at(y)) for x, y in series.points]
    if joined and places:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>"
    for x, y in places:
        yield f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{colour}'/>"


def _axis(values: Sequence[float], start: float, end: float, log: bool) -> _Axis:
    """Around all values, ending on lines of the grid; a straight one begins at 0 or below."""
    if log:
        first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return _Axis(10.0**first, 10.0 ** max(last, first + 1), start, end, log)
    low, high = min(0.0, *values), max(values)
    if high <= low:
        high = low + 1.0
    step = _step(low, high)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return _Axis(low, high, start, end, log, step)


def _step(low: float, high: float) -> float:
    rough = (high - low) / LINES
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(step for step in STEPS if step * power >= rough * 0.999)


def _word(value: float) -> str:
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"
