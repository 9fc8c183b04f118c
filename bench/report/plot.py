"""The interactive plot of one EVSE. The only module of the report that loads the plotting library."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from bokeh.core.properties import value
from bokeh.embed import json_item
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource, DatetimeTickFormatter, HoverTool, Range1d
from bokeh.plotting import figure
from bokeh.resources import Resources

from bench.report.series import EvseSeries, Points, value_at

INK: Final = "#1b1f24"
COLOURS: Final = {
    "expected": "#b3261e",
    "reported": "#7b3fb5",
    "offered": "#b86e00",
    "measured": "#0b5cad",
    "settling": "#8a94a0",
    "breach": "#b3261e",
}
PHASES: Final = ("#5b3a1e", "#22262b", "#7d8791")
"""L1 brown, L2 black, L3 grey, as the cables."""
HEADROOM: Final = 1.5
"""Height of the plot over its highest value; the names of the steps stand there."""
_LINE_OF_NAMES: Final = 0.041
"""Distance of two lines of names, as a share of the plot."""
_HEIGHT, _HEIGHT_PHASES = 430, 190
_TICKS: Final[dict[str, Any]] = {
    "milliseconds": "%H:%M:%S.%3N", "seconds": "%H:%M:%S", "minsec": "%H:%M:%S", "minutes": "%H:%M", "hourmin": "%H:%M",
    "hours": "%H:%M", "days": "%d %b",
}  # fmt: skip


def library() -> str:
    """Return the script of the plotting library, to stand in the page itself."""
    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw)


def plot_json(series: EvseSeries) -> str:
    """Return the plot as the JSON that `Bokeh.embed.embed_item` takes."""
    limits = _figure(series, _HEIGHT, f"{series.unit}{'' if series.unit == 'kW' else ' per phase'}")
    _shade(limits, series)
    _steps(limits, series)
    _line(limits, "Expected limit", series.expected, "expected", width=5, alpha=0.55)
    _line(limits, "Reported by the station", series.reported, "reported", width=2, dash=[7, 4])
    _line(limits, "Offered by the duty cycle", series.offered, "offered", width=1.8, dash=[2, 3])
    source = _readings(series)
    if series.readings:
        limits.line("t", "measured", source=source, color=COLOURS["measured"], line_width=1.6, legend_label="Measured")
    told = _told(series)
    rows = [("Expected limit", "@expected"), ("Reported", "@reported"), ("Offered", "@offered"), ("Measured", "@measured")]
    _hover(limits, told, "y", [("Time", "@t{%F %H:%M:%S.%1N}"), *rows, ("Document", "@seq")])
    _legend(limits)
    currents = _figure(series, _HEIGHT_PHASES, "A", x_range=limits.x_range)
    for index in range(len(series.phases)):
        name = f"L{index + 1}"
        currents.line("t", name, source=source, color=PHASES[index], line_width=1.4, legend_label=name)
    rows = [(f"L{index + 1}", f"@L{index + 1}{{0.00}} A") for index in range(len(series.phases))]
    _hover(currents, source, "L1", [("Time", "@t{%F %H:%M:%S.%1N}"), *rows, ("Document", "@seq")])
    highest = max((one for phase in series.phases for one in phase if one == one), default=1.0)
    currents.y_range = Range1d(start=0, end=max(1.0, highest) * 1.15)
    _legend(currents)
    layout = gridplot([[limits], [currents]], sizing_mode="stretch_width", merge_tools=True, toolbar_options={"logo": None})
    return json.dumps(json_item(layout), allow_nan=False)


def _figure(series: EvseSeries, height: int, unit: str, **more: Any) -> Any:
    margin = (series.end - series.start) * 0.01
    more = {"x_range": Range1d(start=_ms(series.start - margin), end=_ms(series.end + margin))} | more
    drawn = figure(
        height=height, x_axis_type="datetime", sizing_mode="stretch_width", tools="xpan,xwheel_zoom,box_zoom,reset",
        active_scroll=None, y_axis_label=unit, background_fill_color=None, border_fill_color=None, outline_line_color=None,
        **more,
    )  # fmt: skip
    drawn.y_range = Range1d(start=0, end=series.highest * HEADROOM)
    drawn.xaxis.formatter = DatetimeTickFormatter(**_TICKS)
    drawn.xaxis.axis_label = "time, UTC"
    drawn.grid.grid_line_color = "#e4e7eb"
    for axis in (*drawn.xaxis, *drawn.yaxis):
        axis.axis_line_color = axis.major_tick_line_color = "#8a94a0"
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font = axis.major_label_text_font = "system-ui, sans-serif"
        axis.major_label_text_color = axis.axis_label_text_color = INK
    return drawn


def _shade(drawn: Any, series: EvseSeries) -> None:
    if series.settling:
        drawn.vstrip(
            x0=[_ms(start) for start, _ in series.settling], x1=[_ms(end) for _, end in series.settling],
            fill_color=COLOURS["settling"], fill_alpha=0.25, line_color=COLOURS["settling"], line_alpha=0.3,
            legend_label="Settling",
        )  # fmt: skip
    if series.breaches:
        spans = ColumnDataSource({
            "x0": [_ms(one.start) for one in series.breaches], "x1": [_ms(one.end) for one in series.breaches],
            "x": [_ms((one.start + one.end) / 2) for one in series.breaches], "y": [one.highest for one in series.breaches],
            "limit": [one.limit for one in series.breaches],
        })  # fmt: skip
        drawn.vstrip(
            x0="x0", x1="x1", source=spans, fill_color=COLOURS["breach"], fill_alpha=0.16, hatch_pattern="/",
            hatch_color=COLOURS["breach"], hatch_alpha=0.35, line_color=COLOURS["breach"], legend_label="Breach",
        )  # fmt: skip
        drawn.scatter("x", "y", source=spans, marker="inverted_triangle", size=12, color=COLOURS["breach"], legend_label="Breach")


def _steps(drawn: Any, series: EvseSeries) -> None:
    if not series.marks:
        return
    top = series.highest * HEADROOM
    source = ColumnDataSource({
        "x": [_ms(mark.at) for mark in series.marks], "name": [mark.name for mark in series.marks],
        "y": [top * (1 - _LINE_OF_NAMES * (mark.level + 0.3)) for mark in series.marks],
        "align": ["right" if mark.before else "left" for mark in series.marks],
        "offset": [-4 if mark.before else 4 for mark in series.marks],
    })  # fmt: skip
    drawn.vspan(x="x", source=source, line_color="#57606a", line_dash=[3, 3], line_width=1, legend_label="Steps")
    drawn.text(
        "x", "y", text="name", source=source, x_offset="offset", text_align="align", text_font_size="10.5px", text_baseline="top",
        text_color="#39424c", text_font=value("system-ui, sans-serif"), legend_label="Steps",
    )  # fmt: skip


def _line(
    drawn: Any, name: str, points: Points, colour: str, *, width: float, dash: Sequence[int] = (), alpha: float = 1
) -> None:
    if not points[0]:
        return
    source = ColumnDataSource({"x": np.asarray(points[0]) * 1000, "y": np.asarray(points[1])})
    drawn.line(
        "x",
        "y",
        source=source,
        color=COLOURS[colour],
        line_width=width,
        line_dash=list(dash),
        line_alpha=alpha,
        legend_label=name,
    )


def _readings(series: EvseSeries) -> ColumnDataSource:
    times, values = series.measured
    data = {"t": np.asarray(times) * 1000, "measured": np.asarray(values), "seq": np.asarray(series.seqs)}
    data |= {f"L{index + 1}": np.asarray(phase) for index, phase in enumerate(series.phases)}
    return ColumnDataSource(data)


def _told(series: EvseSeries) -> ColumnDataSource:
    """Return what the pointer is told: all values at each reading and at each step of a line, as text with the unit."""
    steps = [series.expected, series.reported, series.offered]
    times = sorted({at for line in (*steps, series.measured) for at in line[0]})
    columns = [[value_at(line, at) for at in times] for line in (*steps, series.measured)]
    readings = [bisect_right(series.measured[0], at) - 1 for at in times]
    data: dict[str, Any] = {
        name: ["none" if one != one else f"{one:.2f} {series.unit}" for one in column]
        for name, column in zip(("expected", "reported", "offered", "measured"), columns, strict=True)
    }
    data["t"] = np.asarray(times) * 1000
    data["y"] = [next((one for one in reversed(values) if one == one), 0.0) for values in zip(*columns, strict=True)]
    data["seq"] = ["–" if index < 0 or series.seqs[index] < 0 else str(series.seqs[index]) for index in readings]
    return ColumnDataSource(data)


def _hover(drawn: Any, source: ColumnDataSource, at: str, rows: Sequence[tuple[str, str]]) -> None:
    """Tell all values at the pointer's time in one place, whichever lines are shown."""
    unseen = drawn.line("t", at, source=source, line_alpha=0)
    tool = HoverTool(renderers=[unseen], tooltips=list(rows), mode="vline", line_policy="nearest", formatters={"@t": "datetime"})
    tool.visible = False
    drawn.add_tools(tool)


def _legend(drawn: Any) -> None:
    if not drawn.legend:
        return
    legend = drawn.legend[0]
    drawn.add_layout(legend, "above")
    legend.orientation = "horizontal"
    legend.click_policy = "hide"
    legend.border_line_color = None
    legend.background_fill_alpha = 0
    legend.label_text_font = "system-ui, sans-serif"
    legend.label_text_color = INK
    legend.padding = 0
    legend.spacing = 14
    legend.label_text_font_size = "12px"


def _ms(at: float) -> float:
    return at * 1000
