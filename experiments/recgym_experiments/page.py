"""What all HTML reports share: a page without outside parts, light or dark, with plots that take its colours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import plotly.graph_objects as go

LEGEND_RIGHT: Final = {"orientation": "v", "x": 1.02, "y": 1, "xanchor": "left"}
"""A legend in the right margin."""


class Figure(dict[str, Any]):
    """A plot ready for the page: `id`, `title`, `note`, and `plot` as Plotly's JSON."""


def finished(name: str, title: str, note: str, figure: go.Figure) -> Figure:
    """A plot in the style of the page, which adds the colours of text and grid. It must have a height."""
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        bargap=0.25,
        hovermode="closest",
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 70, "r": 30, "t": 30, "b": 55, **figure.layout.margin.to_plotly_json()},
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return Figure(id=name, title=title, note=note, plot=figure.to_plotly_json())


def place(figure: go.Figure, at: tuple[str, int, int], grid: tuple[int, int], title: str, shared: bool = True) -> None:
    """Put a pair of axes into a grid of panels.

    Args:
        figure: the figure.
        at: the axes ("" for the first pair, "2", "3", ... for the others), column from the left, row from the top.
        grid: number of columns and of rows.
        title: of the panel.
        shared: the panels of a row share the names of their rows, which only the left one shows.
    """
    (axis, column, row), (columns, rows) = at, grid
    gap = 0.03 if shared else 0.09
    wide, tall = (1 - gap * (columns - 1)) / columns, (1 - 0.2 * (rows - 1)) / rows
    left, top = column * (wide + gap), 1 - row * (tall + 0.2)
    x, y = [round(left, 6), round(left + wide, 6)], [max(round(top - tall, 6), 0.0), round(top, 6)]
    across = {"domain": x, "anchor": f"y{axis}", "nticks": 5, "rangemode": "nonnegative" if shared else "normal"}
    up = {"domain": y, "anchor": f"x{axis}", "showticklabels": not shared or column == 0}
    figure.update_layout({f"xaxis{axis}": across, f"yaxis{axis}": up | ({"autorange": "reversed"} if shared else {})})
    figure.add_annotation(
        text=f"<b>{title.replace('_', ' ')}</b>",
        x=x[0],
        y=y[1],
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        showarrow=False,
    )


def error_bars(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Plotly's error bars from means and interval ends (`mean`, `low`, `high`)."""
    return {
        "type": "data",
        "symmetric": False,
        "thickness": 1.3,
        "width": 3,
        "array": [max(f["high"] - f["mean"], 0.0) for f in found],
        "arrayminus": [max(f["mean"] - f["low"], 0.0) for f in found],
    }


def render(template: str, figures: Sequence[Figure], **values: Any) -> str:
    """The whole page as text; the plotting library is inside of it, once.

    Args:
        template: a file of this package that extends `page.html.jinja`.
        figures: the plots, in their order.
        values: what else the template shows.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    pages = Environment(
        loader=PackageLoader("recgym_experiments", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    plots = script_safe({figure["id"]: figure["plot"] for figure in figures})
    return pages.get_template(template).render(figures=figures, plots=plots, plotly=get_plotlyjs(), **values)


def script_safe(value: Any) -> str:
    """JSON that can stand inside a script element."""
    return json.dumps(value, default=_plain_number).replace("</", "<\\/")


def _plain_number(value: Any) -> Any:
    """Arrays and their numbers as plain Python values."""
    return value.tolist()
