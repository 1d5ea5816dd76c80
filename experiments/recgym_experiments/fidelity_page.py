"""The fidelity report as one HTML file: real beside simulated, line by line and curve by curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go

from recgym.storage import write_text
from recgym_experiments.page import LEGEND_RIGHT, Figure, error_bars, finished, place, render

if TYPE_CHECKING:
    from recgym.fidelity import FidelityReport

SIDES: Final = {"real": ("log", "#5f7fa8"), "simulated": ("simulated", "#e07b00")}
"""Key in the curves -> name and colour, of what the log says and of what the simulator does."""

TEMPLATE = "fidelity.html.jinja"
PANELS = 5
"""Duration buckets side by side."""

RELIABLE = 4
"""Reliability diagrams side by side."""


def write_page(report: FidelityReport, path: Path) -> None:
    """Write the page of a report to one HTML file."""
    write_text(path, page(report))


def page(report: FidelityReport) -> str:
    """The page as text."""
    said = report.to_json()
    parts: dict[str, list[dict[str, str]]] = {}
    for line in said["lines"]:
        parts.setdefault(line["part"], []).append(_cells(line))
    outside = {name: sum(line["kind"] == "outside" for line in lines) for name, lines in parts.items()}
    texts = {key: said[key] for key in ("title", "summary", "notes")}
    return render(TEMPLATE, fidelity_figures(said["curves"]), parts=parts, outside=outside, **texts)


def fidelity_figures(curves: Mapping[str, Any]) -> list[Figure]:
    """The plots of all curves that there are."""
    kinds = (_rates, _watch_time, _completion, _together, _reliability, _places)
    return [figure for kind in kinds if (figure := kind(curves)) is not None]


def _cells(line: Mapping[str, Any]) -> dict[str, str]:
    interval = "" if line["low"] is None else f"{line['low']:.4g} to {line['high']:.4g}"
    texts = {key: "" if line[key] is None else f"{line[key]:.4g}" for key in ("real", "simulated")}
    kind = {True: "within", False: "outside", None: "shown"}[line["within"]]
    return {**texts, **{key: line[key] for key in ("name", "target", "verdict")}, "interval": interval, "kind": kind}


def _add_both(
    figure: go.Figure, x: Sequence[float], points: Mapping[str, Sequence[float | None]], hover: str,
    axis: str = "", shape: str = "linear", mode: str = "lines",
) -> None:  # fmt: skip
    """The line of the log and the line of the simulation; only the first pair of axes names them in the legend."""
    for key, (name, colour) in SIDES.items():
        figure.add_scatter(
            x=x, y=points[key], mode=mode, name=name, legendgroup=key, showlegend=not axis, xaxis=f"x{axis}",
            yaxis=f"y{axis}", line={"color": colour, "width": 3.5 if key == "real" else 1.8, "shape": shape},
            hovertemplate=f"{name}: {hover}<extra></extra>",
        )  # fmt: skip


def _rates(curves: Mapping[str, Any]) -> Figure | None:
    """Rate of every feedback in the log and in the simulation, on a logarithmic axis."""
    bars = curves.get("rates")
    if not bars:
        return None
    figure = go.Figure()
    names = [bar["name"].replace("_", " ") for bar in bars]
    symbols = {"real": {"symbol": "line-ew", "size": 16, "line": {"width": 3, "color": SIDES["real"][1]}},
               "simulated": {"size": 11, "color": SIDES["simulated"][1]}}  # fmt: skip
    for key, (name, colour) in SIDES.items():
        ends = {"error_y": {**error_bars([_ends(bar) for bar in bars]), "color": colour}} if key == "real" else {}
        figure.add_scatter(
            x=names, y=[100 * bar[key] if bar[key] else None for bar in bars], mode="markers", name=name,
            marker=symbols[key], hovertemplate=f"{name}: %{{y:.3g}} %<extra></extra>", **ends,
        )  # fmt: skip
    figure.update_yaxes(type="log", title="% of exposures", dtick=1)
    figure.update_layout(height=400, legend=LEGEND_RIGHT)
    return finished(
        "rates", "Feedback rates", "Bars around the log's rates: 95 % bootstrap interval over users.", figure
    )


def _ends(bar: Mapping[str, Any]) -> dict[str, float]:
    """Rate and interval of the log in per cent; an interval of no length where there is none."""
    real = bar["real"] or 0.0
    low, high = (real if bar.get(key) is None else bar[key] for key in ("low", "high"))
    return {"mean": 100 * real, "low": 100 * low, "high": 100 * high}


def _watch_time(curves: Mapping[str, Any]) -> Figure | None:
    """Quantile curves of watch time, one panel per duration bucket."""
    buckets = curves.get("watch_time")
    if not buckets:
        return None
    rows, figure = -(-len(buckets) // PANELS), go.Figure()
    for i, bucket in enumerate(buckets):
        axis = str(i + 1) if i else ""
        points = {key: [max(value, 0.05) for value in bucket[key]] for key in SIDES}
        _add_both(figure, bucket["at"], points, "%{y:.1f} s", axis)
        place(figure, (axis, i % PANELS, i // PANELS), (PANELS, rows), f"videos of {bucket['bucket']}")
        up = {"type": "log", "autorange": True, "dtick": 1, **({"matches": "y"} if i else {})}
        figure.update_layout({f"yaxis{axis}": up, f"xaxis{axis}": {"tickformat": ".0%", "tickvals": [0, 0.5, 1]}})
    figure.update_layout(height=60 + 210 * rows, legend=LEGEND_RIGHT)
    note = "Seconds watched (logarithmic) below which each share of the exposures lies, by length of the video."
    return finished("watch-time", "Watch time by duration", note, figure)


def _completion(curves: Mapping[str, Any]) -> Figure | None:
    """Histogram of watch time over duration."""
    found = curves.get("completion")
    if not found:
        return None
    figure = go.Figure()
    _add_both(figure, found["edges"], found, "%{y:.2%}", shape="hv")
    figure.update_xaxes(title="watch time / duration (above 1: the video looped)", tickformat=".0%")
    figure.update_yaxes(title="share of exposures", tickformat=".0%", rangemode="tozero")
    figure.update_layout(height=380, legend=LEGEND_RIGHT)
    note = "The spike near 100 % is videos played to their end."
    return finished("completion", "How much of a video is watched", note, figure)


def _together(curves: Mapping[str, Any]) -> Figure | None:
    """Heat maps of the conditional probabilities of feedbacks."""
    found = curves.get("together")
    if not found:
        return None
    figure, names = go.Figure(), [name.replace("_", " ") for name in found["names"]]
    for i, (key, (title, _)) in enumerate(SIDES.items()):
        axis = str(i + 1) if i else ""
        values = [[None if value is None else 100 * value for value in row] for row in found[key]]
        text = [
            ["" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.2g}" for value in row]
            for row in values
        ]
        figure.add_heatmap(
            z=values, x=names, y=names, text=text, texttemplate="%{text}", colorscale="Blues", zmin=0, zmax=100,
            showscale=False, xaxis=f"x{axis}", yaxis=f"y{axis}",
            hovertemplate=f"%{{x}} given %{{y}}: %{{z:.3g}} %<extra>{title}</extra>",
        )  # fmt: skip
        place(figure, (axis, i, 0), (2, 1), title)
        figure.update_layout(
            {f"xaxis{axis}": {"nticks": len(names), "showgrid": False}, f"yaxis{axis}": {"showgrid": False}}
        )
    figure.update_layout(height=430, margin={"l": 110})
    note = "Per cent of the exposures with the feedback of the row that also have the one of the column."
    return finished("together", "Feedbacks that go together", note, figure)


def _short(value: float | None) -> str:
    """Two digits, or a whole number."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _reliability(curves: Mapping[str, Any]) -> Figure | None:
    """Predicted probabilities against what happened, one panel for each feedback."""
    found = {curve["name"]: curve for curve in reversed(curves.get("reliability") or []) if curve["predicted"]}
    if not found:
        return None
    rows, figure = -(-len(found) // RELIABLE), go.Figure()
    for i, (name, curve) in enumerate(reversed(found.items())):
        axis = str(i + 1) if i else ""
        most = max(*curve["predicted"], *curve["real"])
        at = {"xaxis": f"x{axis}", "yaxis": f"y{axis}", "showlegend": False}
        figure.add_scatter(
            x=[0, most],
            y=[0, most],
            mode="lines",
            line={"color": SIDES["real"][1], "dash": "dot"},
            hoverinfo="skip",
            **at,
        )
        figure.add_scatter(
            x=curve["predicted"], y=curve["real"], mode="lines+markers", line={"color": SIDES["simulated"][1]},
            hovertemplate="predicted %{x:.2%}, happened %{y:.2%}<extra></extra>", **at,
        )  # fmt: skip
        place(figure, (axis, i % RELIABLE, i // RELIABLE), (RELIABLE, rows), name, shared=False)
        ticks = {"tickformat": ".0%" if most > 0.05 else ".1%", "nticks": 4, "rangemode": "tozero"}
        figure.update_layout({f"xaxis{axis}": ticks, f"yaxis{axis}": ticks})
    figure.update_layout(height=60 + 240 * rows)
    note = (
        "Across: predicted probability, in 15 groups of exposures. Up: how often it happened. On the dots: calibrated."
    )
    return finished("reliability", "Can the probabilities be believed?", note, figure)


def _places(curves: Mapping[str, Any]) -> Figure | None:
    """Rates by place in the visit."""
    found = {name: points for name, points in curves.items() if name.endswith(" by place") and points}
    if not found:
        return None
    figure = go.Figure()
    for i, (title, points) in enumerate(found.items()):
        axis = str(i + 1) if i else ""
        sides = {key: [point[key] for point in points] for key in SIDES}
        _add_both(figure, [point["place"] for point in points], sides, "%{y:.2%} at %{x}", axis, mode="lines+markers")
        place(figure, (axis, i, 0), (len(found), 1), title, shared=False)
        up = {"tickformat": ".0%", "rangemode": "tozero"}
        figure.update_layout({f"yaxis{axis}": up, f"xaxis{axis}": {"title": "place"}})
    figure.update_layout(height=340, legend=LEGEND_RIGHT)
    return finished("places", "Within a visit", "Rates by how many videos came before in the same visit.", figure)
