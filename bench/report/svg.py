"""The same plot as a still picture, for paper and for browsers without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import ceil, floor, log10
from typing import Final

from bench.domain.quantities import moment
from bench.report.markup import Markup, element
from bench.report.series import EvseSeries, Points

WIDTH: Final = 1040.0
_LEFT, _RIGHT = 52.0, 10.0
_TOP, _HEIGHT = 26.0, 300.0
_GAP, _HEIGHT_PHASES, _BOTTOM = 26.0, 110.0, 38.0
_HEADROOM: Final = 1.5
_TICKS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400)


class _Panel:
    """Maps time and value to a rectangle of the picture."""

    def __init__(self, series: EvseSeries, top: float, height: float, highest: float, unit: str) -> None:
        self.start, self.end = series.start, series.end
        self.top, self.height, self.highest, self.unit = top, height, highest, unit

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def x(self, at: float) -> float:
        share = (min(max(at, self.start), self.end) - self.start) / (self.end - self.start)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return self.bottom - max(0.0, min(value / self.highest, 1.0)) * self.height

    def grid(self) -> Iterator[Markup]:
        for value in _ticks(self.highest):
            y = self.y(value)
            yield element("path", d=f"M{_LEFT:.0f} {y:.1f}H{WIDTH - _RIGHT:.0f}", class_="grid")
            yield element("text", f"{value:g}", x=_LEFT - 6, y=f"{y + 4:.1f}", class_="right")
        yield element("text", self.unit, x=4, y=f"{self.top + 10:.1f}")
        for at in _times(self.start, self.end):
            yield element("path", d=f"M{self.x(at):.1f} {self.top:.1f}V{self.bottom:.1f}", class_="grid")

    def line(self, points: Points, kind: str) -> Markup | None:
        path = "".join(self._path(points))
        return element("path", d=path, class_=f"line {kind}") if path else None

    def _path(self, points: Points) -> Iterator[str]:
        pen = "M"
        for at, value in zip(*points, strict=True):
            if value != value:
                pen = "M"
                continue
            yield f"{pen}{self.x(at):.1f} {self.y(value):.1f}"
            pen = "L"

    def strip(self, start: float, end: float, kind: str) -> Markup:
        left, right = self.x(start), self.x(end)
        width = f"{max(1.0, right - left):.1f}"
        place = {"x": f"{left:.1f}", "y": f"{self.top:.1f}", "width": width, "height": f"{self.height:.1f}"}
        return element("rect", class_=kind, **place)


def still_picture(series: EvseSeries) -> Markup:
    """Return the plot as SVG."""
    unit = series.unit if series.unit == "kW" else "A/ph."
    main = _Panel(series, _TOP, _HEIGHT, series.highest * _HEADROOM, unit)
    most = max((one for phase in series.phases for one in phase if one == one), default=0.0)
    lower = _Panel(series, main.bottom + _GAP, _HEIGHT_PHASES, max(1.0, most) * 1.15, "A")
    phases = [lower.line((series.measured[0], values), f"l{index + 1}") for index, values in enumerate(series.phases)]
    height = lower.bottom + _BOTTOM
    return element(
        "svg",
        element("title", f"Limits and measured power of {series.name}"),
        list(main.grid()),
        [main.strip(start, end, "settling") for start, end in series.settling],
        [main.strip(one.start, one.end, "breach") for one in series.breaches],
        list(_marks(main, series)),
        main.line(series.offered, "offered"),
        main.line(series.reported, "reported"),
        main.line(series.expected, "expected"),
        main.line(series.measured, "measured"),
        list(_breach_heads(main, series)),
        list(lower.grid()),
        phases,
        [element("text", _label(at, series), x=f"{lower.x(at):.1f}", y=f"{lower.bottom + 16:.1f}", class_="middle")
         for at in _times(series.start, series.end)],
        element("text", "time, UTC", x=WIDTH / 2, y=f"{height - 4:.1f}", class_="middle"),
        list(_legend(series, main)),
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}", xmlns="http://www.w3.org/2000/svg", role="img", class_="still",
    )  # fmt: skip


def _marks(panel: _Panel, series: EvseSeries) -> Iterator[Markup]:
    for mark in series.marks:
        x = panel.x(mark.at)
        yield element("path", d=f"M{x:.1f} {panel.top:.1f}V{panel.bottom:.1f}", class_="mark")
        x += -3 if mark.before else 3
        side = "right" if mark.before else None
        yield element("text", mark.name, x=f"{x:.1f}", y=f"{panel.top + 10 + 12 * mark.level:.1f}", class_=side)


def _breach_heads(panel: _Panel, series: EvseSeries) -> Iterator[Markup]:
    for one in series.breaches:
        x, y = panel.x((one.start + one.end) / 2), panel.y(one.highest) - 4
        yield element("path", d=f"M{x:.1f} {y:.1f}l-6 -10h12z", class_="head")


def _legend(series: EvseSeries, panel: _Panel) -> Iterator[Markup]:
    entries = [
        ("expected", "Expected limit", series.expected[0]), ("reported", "Reported by the station", series.reported[0]),
        ("offered", "Offered by the duty cycle", series.offered[0]), ("measured", "Measured", series.measured[0]),
        ("settling", "Settling", series.settling), ("breach", "Breach", series.breaches),
    ]  # fmt: skip
    left = _LEFT
    for kind, name, present in entries:
        if not present:
            continue
        if kind in ("settling", "breach"):
            yield element("rect", x=left, y=5, width=22, height=10, class_=kind)
        else:
            yield element("path", d=f"M{left:.0f} 10h22", class_=f"line {kind}")
        yield element("text", name, x=left + 28, y=14)
        left += 50 + 6.4 * len(name)
    left = WIDTH - _RIGHT - 44 * len(series.phases)
    for index in range(len(series.phases)):
        y = panel.bottom + _GAP - 6
        yield element("path", d=f"M{left:.0f} {y - 4:.0f}h18", class_=f"line l{index + 1}")
        yield element("text", f"L{index + 1}", x=left + 22, y=y)
        left += 44


def _ticks(highest: float) -> Iterable[float]:
    """Return round values from 0 on, at most nine."""
    rough = highest / 8
    power = 10.0 ** floor(log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough)
    return [index * step for index in range(floor(highest / step) + 1)]


def _times(start: float, end: float) -> list[float]:
    """Return round times, about ten."""
    step = next((one for one in _TICKS_S if (end - start) / one <= 12), _TICKS_S[-1] * ceil((end - start) / _TICKS_S[-1] / 12))
    first = ceil(start / step) * step
    return [float(first + index * step) for index in range(floor((end - first) / step) + 1)]


def _label(at: float, series: EvseSeries) -> str:
    whole = all(one % 60 == 0 for pair in pairwise(_times(series.start, series.end)) for one in pair)
    midnight = at % 86_400 == 0
    return moment(at).strftime("%d %b" if midnight else "%H:%M" if whole else "%H:%M:%S")
