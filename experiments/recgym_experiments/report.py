"""One HTML file that explains a comparison by itself: table, plots, settings, provenance. Works without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recgym.storage import read_json, write_text
from recgym_experiments.page import render
from recgym_experiments.tables import COLUMNS, REFERENCES, Record, best_cells, caption, in_order

TEMPLATE = "report.html.jinja"


def write_report(results: Sequence[Record], path: Path) -> None:
    """Write the report of result records to one HTML file."""
    write_text(path, report_html(results))


def rebuild_report(out: Path) -> Path:
    """Write the report again from the results that lie in `out`; returns the file."""
    write_report(read_json(out / "results.json"), out / "report.html")
    return out / "report.html"


def report_html(results: Sequence[Record]) -> str:
    """The whole page as text; the plotting library is inside of it, once."""
    from recgym_experiments.figures import all_figures

    return render(
        TEMPLATE,
        all_figures(results),
        headline=headline(results),
        world=results[0]["world"],
        columns=[column.title for column in COLUMNS],
        rows=table_rows(results),
        caption=caption(results),
        agents=[agent_facts(record) for record in in_order(results)],
        comparison=flat(results[0]["config"]["comparison"]),
        provenance=results[0]["provenance"],
    )


def headline(results: Sequence[Record]) -> str:
    """The answer in one sentence."""
    watch = {record["name"]: record["metrics"]["watch_time_s"] for record in results}
    contestants = [record for record in in_order(results) if record["name"] not in REFERENCES]
    if not contestants:
        return "Only the reference policies were compared."
    title, found = contestants[-1]["label"], watch[contestants[-1]["name"]]
    text = f"{title[:1].upper()}{title[1:]} keeps users watching longest: {found['mean']:.0f} s a session"
    text += f" (95 % interval {found['low']:.0f} to {found['high']:.0f})."
    beside = [f"{name} {watch[name]['mean']:.0f} s" for name in REFERENCES if name in watch]
    return f"{text} For reference: {', '.join(beside)}." if beside else text


def table_rows(results: Sequence[Record]) -> list[dict[str, Any]]:
    """Rows of the HTML table: label, seeds note, kind; each cell has its text, its interval and whether it is best."""
    ordered = in_order(results)
    best = best_cells(ordered)
    rows = []
    for record in ordered:
        cells = []
        for column in COLUMNS:
            mean, _, rest = column.text(record).partition(" [")
            cells.append(
                {"mean": mean, "interval": f"[{rest}" if rest else "", "best": (record["name"], column.title) in best}
            )
        kind = "reference" if record["name"] in REFERENCES else "contestant"
        rows.append({"label": record["label"], "note": record["seeds_note"], "kind": kind, "cells": cells})
    return rows


def agent_facts(record: Record) -> dict[str, Any]:
    """What the settings section shows of one agent."""
    training = record["training"]
    facts = {"steps": f"{training['steps']:,}", "seconds of learning (mean)": f"{training['learning_s']:.1f}"}
    losses = {f"loss: {name}": f"{value:.4g}" for name, value in training["losses"].items() if value is not None}
    own = {key: record[key] for key in ("label", "name", "learns_from", "seeds")}
    return {**own, "settings": flat(record["config"]["agent"]), "facts": facts | losses}


def flat(settings: Mapping[str, Any], name: str = "") -> dict[str, str]:
    """A JSON tree as one table: "a.b" -> text."""
    out: dict[str, str] = {}
    for key, value in settings.items():
        title = f"{name}.{key}".lstrip(".")
        if isinstance(value, Mapping) and value:
            out |= flat(value, title)
        else:
            out[title] = value if isinstance(value, str) else json.dumps(value)
    return out
