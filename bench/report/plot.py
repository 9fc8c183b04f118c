"""The interactive plot of one EVSE. The only module of the report that loads the plotting library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from bokeh.core.properties import value
from bokeh.embed import json_item
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource, DatetimeTickFormatter, HoverTool, Range1d
from bokeh.plotting import figure
from bokeh.resources import Resources

from bench.report.series import EvseSeries, Points

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
    hovered = [
        _line(limits, "Expected limit", series.expected, "expected", width=5, alpha=0.55),
        _line(limits, "Reported by the station", series.reported, "reported", width=2, dash=[7, 4]),
        _line(limits, "Offered by the duty cycle", series.offered, "offered", width=1.8, dash=[2, 3]),
    ]
    source = _readings(series)
    measured = limits.line("t", "measured", source=source, color=COLOURS["measured"], line_width=1.6, legend_label="Measured")
    for renderer, name in hovered:
        limits.add_tools(_hover(renderer, name, f"@y{{0.00}} {series.unit}", line_policy="prev"))
    limits.add_tools(_hover(measured, "Measured", f"@measured{{0.00}} {series.unit} at @t{{%H:%M:%S.%1N}}, document @seq"))
    _legend(limits)
    currents = _figure(series, _HEIGHT_PHASES, "A", x_range=limits.x_range)
    for index in range(len(series.phases)):
        name = f"L{index + 1}"
        line = currents.line("t", name, source=source, color=PHASES[index], line_width=1.4, legend_label=name)
        currents.add_tools(_hover(line, name, f"@{name}{{0.00}} A"))
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
        heads = drawn.scatter(
            "x", "y", source=spans, marker="inverted_triangle", size=12, color=COLOURS["breach"], legend_label="Breach"
        )
        drawn.add_tools(_hover(heads, "Breach", f"@y{{0.00}} {series.unit}, limit @limit{{0.00}} {series.unit}", mode="mouse"))


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
) -> tuple[Any, str]:
    source = ColumnDataSource({"x": np.asarray(points[0]) * 1000, "y": np.asarray(points[1])})
    shown = {"legend_label": name} if points[0] else {}
    return drawn.line(
        "x", "y", source=source, color=COLOURS[colour], line_width=width, line_dash=list(dash), line_alpha=alpha, **shown
    ), name


def _readings(series: EvseSeries) -> ColumnDataSource:
    times, values = series.measured
    data = {"t": np.asarray(times) * 1000, "measured": np.asarray(values), "seq": np.asarray(series.seqs)}
    data |= {f"L{index + 1}": np.asarray(phase) for index, phase in enumerate(series.phases)}
    return ColumnDataSource(data)


def _hover(renderer: Any, name: str, text: str, **more: Any) -> HoverTool:
    settings: dict[str, Any] = {
        "mode": "vline",
        "line_policy": "nearest",
        "formatters": {"@t": "datetime"},
        "visible": False,
    } | more
    return HoverTool(renderers=[renderer], tooltips=[(name, text)], **settings)


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
