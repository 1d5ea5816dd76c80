"""The plots of the report, from result records alone. Colours of text and grid are left to the page (light or dark)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from recgym_experiments.page import LEGEND_RIGHT, Figure, error_bars, finished, place
from recgym_experiments.tables import REFERENCES, Record, in_order, row_title

COLOURS: Final = (
    "#2f7ed8",
    "#e07b00",
    "#0f9d76",
    "#c2569b",
    "#7c5cd6",
    "#c9452f",
    "#3aa3c9",
    "#8a8f00",
    "#b0763f",
    "#5f7f9f",
)
"""Colours of the contestants, told apart also by the colour-blind; the first agent always has the first."""

REFERENCE_COLOUR: Final = {"random": "#8b93a1", "popularity": "#a8906a", "oracle": "#b8860b"}
REFERENCE_DASH: Final = {"random": "dot", "popularity": "dashdot", "oracle": "dash"}

RATES: Final = ("click", "long_view", "complete", "like", "follow", "comment", "forward", "hate")
"""Feedbacks of the rate panels."""

COLUMNS_OF_RATES = 4
"""Rate panels side by side."""


def colour_of(results: Sequence[Record]) -> dict[str, str]:
    """Agent -> colour, the same in every plot."""
    contestants = [record["name"] for record in results if record["name"] not in REFERENCES]
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(contestants)}
    return {**REFERENCE_COLOUR, **colours}


def all_figures(results: Sequence[Record]) -> list[Figure]:
    """All plots that these results have something for, in the order of the report."""
    results = in_order(results)
    colour = colour_of(results)
    made = [
        watch_time(results, colour), differences(results, colour), rates(results, colour), trade_off(results, colour),
        costs(results, colour), survival(results, colour), learning(results, colour), training_cost(results, colour),
    ]  # fmt: skip
    return [figure for figure in made if figure is not None]


def watch_time(results: Sequence[Record], colour: Mapping[str, str]) -> Figure:
    """Forest plot of watch time per session."""
    figure = go.Figure()
    _forest(figure, results, colour, "metrics", "watch_time_s")
    _row_layout(figure, results, "seconds watched per session")
    note = "Mean over users and seeds with its 95 % interval. Random, popularity and oracle are drawn hollow."
    return finished("watch-time", "Watch time per session", note, figure)


def differences(results: Sequence[Record], colour: Mapping[str, str]) -> Figure | None:
    """Forest plot of the paired difference in watch time to the random policy."""
    paired = [record for record in results if record["minus_random"]]
    if not paired:
        return None
    figure = go.Figure()
    _forest(figure, paired, colour, "minus_random", "watch_time_s", plus=True)
    figure.add_vline(x=0, line={"width": 1, "dash": "dot", "color": REFERENCE_COLOUR["random"]})
    _row_layout(figure, paired, "seconds more than the random policy, same user, same luck")
    note = "Differences user by user: what all policies share cancels out. Compare these intervals with zero."
    return finished("differences", "Paired difference to random", note, figure)


def rates(results: Sequence[Record], colour: Mapping[str, str]) -> Figure:
    """One small bar chart per feedback: share of exposures that got it."""
    shown = [name for name in RATES if any(f"{name}_per_exposure" in record["metrics"] for record in results)]
    rows = -(-len(shown) // COLUMNS_OF_RATES)
    figure = go.Figure()
    for i, name in enumerate(shown):
        axis = str(i + 1) if i else ""
        known = [r for r in results if f"{name}_per_exposure" in r["metrics"]]
        found = [_scaled(r["metrics"][f"{name}_per_exposure"], 100) for r in known]
        figure.add_bar(
            x=[f["mean"] for f in found], y=[_short(r) for r in known], orientation="h", error_x=error_bars(found),
            marker=_bars(known, colour), xaxis=f"x{axis}", yaxis=f"y{axis}", showlegend=False,
            hovertemplate="%{y}: %{x:.3f} %<extra>" + name.replace("_", " ") + "</extra>",
        )  # fmt: skip
        place(figure, (axis, i % COLUMNS_OF_RATES, i // COLUMNS_OF_RATES), (COLUMNS_OF_RATES, rows), name)
    figure.update_layout(height=rows * (70 + 22 * len(results)) + 40, margin={"l": 150})
    note = "Share of all exposures, in per cent, with 95 % intervals. Hate is the one feedback of which less is better."
    return finished("rates", "Feedback per exposure", note, figure)


def trade_off(results: Sequence[Record], colour: Mapping[str, str]) -> Figure | None:
    """Watch time against hates per exposure."""
    known = [record for record in results if "hate_per_exposure" in record["metrics"]]
    if not known:
        return None
    figure = go.Figure()
    for record in known:
        hate = _scaled(record["metrics"]["hate_per_exposure"], 1000)
        watch = record["metrics"]["watch_time_s"]
        figure.add_scatter(
            x=[hate["mean"]], y=[watch["mean"]], error_x=error_bars([hate]), error_y=error_bars([watch]),
            mode="markers", name=_short(record), marker=_marker(record, colour, 13),
            hovertemplate="%{y:.1f} s, %{x:.2f} hates per 1,000<extra>" + _short(record) + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="hates per 1,000 exposures (less is better)", rangemode="tozero")
    figure.update_yaxes(title="seconds watched per session")
    figure.update_layout(height=460, legend=LEGEND_RIGHT)
    note = "The upper left corner is where everybody wants to be: long sessions, few annoyed users."
    return finished("trade-off", "Watch time against annoyance", note, figure)


def costs(results: Sequence[Record], colour: Mapping[str, str]) -> Figure | None:
    """Each cost of each agent beside its limit."""
    names = list(dict.fromkeys(name for record in results for name in record["costs"]))
    if not names:
        return None
    figure = go.Figure()
    for i, name in enumerate(names):
        axis = str(i + 1) if i else ""
        known = [record for record in results if name in record["costs"]]
        found = [_scaled(record["costs"][name], 100) for record in known]
        figure.add_bar(
            x=[f["mean"] for f in found], y=[_short(r) for r in known], orientation="h", error_x=error_bars(found),
            marker=_bars(known, colour), xaxis=f"x{axis}", yaxis=f"y{axis}", showlegend=False,
            hovertemplate="%{y}: %{x:.3f} %<extra>" + name + "</extra>",
        )  # fmt: skip
        per = known[0]["costs"][name]["per"]
        place(figure, (axis, i, 0), (len(names), 1), f"{name} % / {per}")
        limit = known[0]["costs"][name]["limit"]
        if limit is not None:
            figure.add_shape(
                type="line", x0=100 * limit, x1=100 * limit, y0=0, y1=1, xref=f"x{axis}", yref=f"y{axis} domain",
                line={"color": "#d33", "width": 2, "dash": "dash"},
            )  # fmt: skip
    figure.update_layout(height=90 + 24 * len(results), margin={"l": 150})
    limited = any(record["costs"][name]["limit"] is not None for record in results for name in record["costs"])
    note = (
        "Red dashes: the limit of a cost; a bar should end left of it."
        if limited
        else "This world sets no limits; costs are reported only."
    )
    return finished("costs", "Costs and their limits", note, figure)


def survival(results: Sequence[Record], colour: Mapping[str, str]) -> Figure:
    """Share of sessions that are longer than each depth."""
    figure = go.Figure()
    for record in results:
        curve = record["survival"]
        figure.add_scatter(
            x=curve["depth"], y=curve["share"], mode="lines", name=_short(record), line=_line(record, colour, "hv"),
            hovertemplate="%{y:.1%} stay longer than %{x} exposures<extra>" + _short(record) + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="exposures seen")
    figure.update_yaxes(title="share of sessions still going", tickformat=".0%", range=[0, 1.02])
    figure.update_layout(height=440, legend=LEGEND_RIGHT)
    return finished(
        "survival", "How deep sessions go", "Share of users who saw more than so many videos in one session.", figure
    )


def learning(results: Sequence[Record], colour: Mapping[str, str]) -> Figure | None:
    """Learning curves, one panel for each quantity that agents report."""
    metrics = sorted({curve["metric"] for record in results for curve in record["learning_curves"]})
    if not metrics:
        return None
    figure, named = go.Figure(), set[str]()
    for record in results:
        for curve in record["learning_curves"]:
            i = metrics.index(curve["metric"])
            axis = str(i + 1) if i else ""
            figure.add_scatter(
                x=curve["steps"], y=curve["value"], name=_short(record), legendgroup=record["name"],
                showlegend=record["name"] not in named, mode="lines+markers" if len(curve["steps"]) < 3 else "lines",
                line={"color": colour[record["name"]], "width": 1.8}, opacity=0.85, xaxis=f"x{axis}", yaxis=f"y{axis}",
                hovertemplate="%{x:,} steps: %{y:.4g}<extra>" + f"{_short(record)}, seed {curve['seed']}</extra>",
            )  # fmt: skip
            named.add(record["name"])
    for i, metric in enumerate(metrics):
        place(figure, (str(i + 1) if i else "", i, 0), (len(metrics), 1), metric, shared=False)
        figure.update_layout({f"xaxis{i + 1 if i else ''}": {"title": "steps learned"}})
    figure.update_layout(height=400, legend=LEGEND_RIGHT, margin={"l": 60})
    note = (
        "As each agent reported while it learned, one line per seed: on its training users, not on those of the table."
    )
    return finished("learning", "Learning curves", note, figure)


def training_cost(results: Sequence[Record], colour: Mapping[str, str]) -> Figure | None:
    """Seconds of learning against watch time."""
    known = [
        record for record in results if record["learns_from"] != "nothing" and record["training"]["learning_s"] > 0
    ]
    if not known:
        return None
    figure = go.Figure()
    for record in known:
        watch = record["metrics"]["watch_time_s"]
        steps = record["training"]["steps"]
        figure.add_scatter(
            x=[record["training"]["learning_s"]], y=[watch["mean"]], error_y=error_bars([watch]), mode="markers",
            name=_short(record), marker=_marker(record, colour, 13),
            hovertemplate=f"%{{x:.1f}} s of learning, %{{y:.1f}} s<extra>{_short(record)}, {steps:,} steps</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="seconds of learning, mean over seeds (logarithmic)", type="log")
    figure.update_yaxes(title="seconds watched per session")
    figure.update_layout(height=420, legend=LEGEND_RIGHT)
    return finished(
        "training", "What training costs", "Wall-clock time on the machine named below, without evaluation.", figure
    )


def _forest(
    figure: go.Figure, results: Sequence[Record], colour: Mapping[str, str], table: str, metric: str, plus: bool = False
) -> None:
    """A dot and an interval per agent, one row each."""
    for record in results:
        found = record[table][metric]
        figure.add_scatter(
            x=[found["mean"]], y=[_short(record)], error_x={**error_bars([found]), "thickness": 2.2, "width": 5},
            mode="markers+text", marker=_marker(record, colour, 11), showlegend=False,
            text=[f"{found['mean']:{'+' if plus else ''}.1f}"], textposition="top center", textfont={"size": 11},
            hovertemplate=f"{_short(record)}: %{{x:.1f}} [{found['low']:.1f}, {found['high']:.1f}]<extra></extra>",
        )  # fmt: skip


def _row_layout(figure: go.Figure, results: Sequence[Record], title: str) -> None:
    figure.update_xaxes(title=title, zeroline=False)
    names = [_short(record) for record in results]
    figure.update_yaxes(categoryorder="array", categoryarray=names, range=[len(names) - 0.5, -0.8], showgrid=True)
    figure.update_layout(height=90 + 40 * len(results), margin={"l": 190})


def _short(record: Record) -> str:
    """The agent's label without what stands in brackets."""
    return row_title(record).partition(" (")[0]


def _scaled(found: Mapping[str, Any], scale: float) -> dict[str, float]:
    """A share and its interval times `scale`; ends below 0, which the delta method can give, are drawn at 0."""
    return {key: max(scale * (found[key] or 0.0), 0.0) for key in ("mean", "low", "high")}


def _marker(record: Record, colour: Mapping[str, str], size: int) -> dict[str, Any]:
    hollow = record["name"] in REFERENCES
    symbol = {"random": "circle-open", "popularity": "square-open", "oracle": "star-open"}.get(record["name"], "circle")
    return {"size": size, "color": colour[record["name"]], "symbol": symbol, "line": {"width": 2 if hollow else 0}}


def _bars(results: Sequence[Record], colour: Mapping[str, str]) -> dict[str, Any]:
    """Colours of bars; those of references are pale."""
    return {
        "color": [colour[r["name"]] for r in results],
        "opacity": [0.45 if r["name"] in REFERENCES else 1 for r in results],
    }


def _line(record: Record, colour: Mapping[str, str], shape: str) -> dict[str, Any]:
    dash = REFERENCE_DASH.get(record["name"], "solid")
    return {"color": colour[record["name"]], "width": 2, "dash": dash, "shape": shape}
