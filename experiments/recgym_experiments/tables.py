"""The headline table: on the console, as Markdown, and in words for the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rich.table import Table

Record = Mapping[str, Any]

REFERENCES: Final = ("random", "popularity", "oracle")
"""Rows that are no contestants: they show where the others stand."""


class Column(NamedTuple):
    """One column of the table.

    title: its heading. text: what stands in it for a record. value: the number by which the best is chosen, None if
    unknown. best: max, min, or None where none is better. wide: whether only the wide tables (Markdown, HTML) have it.
    """

    title: str
    text: Callable[[Record], str]
    value: Callable[[Record], float | None]
    best: Callable[[Sequence[float]], float] | None = max
    wide: bool = False


def _mean(name: str, table: str = "metrics") -> Callable[[Record], float | None]:
    def read(record: Record) -> float | None:
        found = record[table].get(name)
        value: float | None = found["mean"] if isinstance(found, Mapping) else found
        return value

    return read


def with_interval(found: Mapping[str, float | None] | None, scale: float = 1.0, sign: bool = False) -> str:
    """A mean with its interval, such as 312.4 [305.1, 320.0]; "-" where nothing is known."""
    if not found or found["mean"] is None:
        return "-"
    mean, low, high = (number(found[key], scale, sign) for key in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def number(value: float | None, scale: float = 1.0, sign: bool = False) -> str:
    """A number with three or four meaningful digits, "-" where there is none."""
    if value is None:
        return "-"
    value *= scale
    size = abs(value)
    digits = 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3
    return f"{value:{'+' if sign else ''}.{digits}f}"


def _interval_text(name: str, table: str = "metrics", sign: bool = False) -> Callable[[Record], str]:
    return lambda record: with_interval(record[table].get(name), sign=sign)


def _number_text(name: str, table: str = "metrics", scale: float = 1.0) -> Callable[[Record], str]:
    read = _mean(name, table)
    return lambda record: number(read(record), scale)


def _seconds(record: Record) -> str:
    return "-" if record["learns_from"] == "nothing" else number(record["training"]["learning_s"])


COLUMNS: Final = (
    Column("Watch time, s / session", _interval_text("watch_time_s"), _mean("watch_time_s")),
    Column("vs random, s", _interval_text("watch_time_s", "minus_random", True), _mean("watch_time_s", "minus_random")),
    Column("Depth", _number_text("depth"), _mean("depth")),
    Column("Click %", _number_text("click_per_exposure", scale=100), _mean("click_per_exposure")),
    Column("Long view %", _number_text("long_view_per_exposure", scale=100), _mean("long_view_per_exposure")),
    Column("Complete %", _number_text("complete_per_exposure", scale=100), _mean("complete_per_exposure"), wide=True),
    Column("Like %", _number_text("like_per_exposure", scale=100), _mean("like_per_exposure")),
    Column("Follow %", _number_text("follow_per_exposure", scale=100), _mean("follow_per_exposure"), wide=True),
    Column("Comment %", _number_text("comment_per_exposure", scale=100), _mean("comment_per_exposure"), wide=True),
    Column("Forward %", _number_text("forward_per_exposure", scale=100), _mean("forward_per_exposure"), wide=True),
    Column("Hate %", _number_text("hate_per_exposure", scale=100), _mean("hate_per_exposure"), min),
    Column("Coverage %", _number_text("coverage", "catalogue", 100), _mean("coverage", "catalogue"), None),
    Column("Back after, days", _number_text("return_gap_days"), _mean("return_gap_days"), min, wide=True),
    Column("Better than random", _number_text("watch_time_s", "better_than_random"),
           _mean("watch_time_s", "better_than_random"), None, wide=True),
    Column("Training, s", _seconds, lambda record: None, None),
)  # fmt: skip
"""All columns behind the agent's name, from left to right."""


def in_order(results: Sequence[Record]) -> list[Record]:
    """Random and popularity first, then the contestants by rising watch time, the oracle last."""
    place = {"random": 0, "popularity": 1, "oracle": 3}
    watch = _mean("watch_time_s")
    return sorted(results, key=lambda r: (place.get(r["name"], 2), watch(r) or 0.0))


def best_cells(results: Sequence[Record], columns: Sequence[Column] = COLUMNS) -> set[tuple[str, str]]:
    """(agent, column title) of the best contestant in each column; references are never the best."""
    best: set[tuple[str, str]] = set()
    for column in columns:
        known = {r["name"]: v for r in results if r["name"] not in REFERENCES and (v := column.value(r)) is not None}
        if column.best and len(known) > 1:
            top = column.best(list(known.values()))
            best |= {(name, column.title) for name, value in known.items() if value == top}
    return best


def row_title(record: Record) -> str:
    """The agent's label, with what has to be said about the number of seeds."""
    note = record["seeds_note"]
    return f"{record['label']} ({note})" if note else str(record["label"])


def caption(results: Sequence[Record]) -> str:
    """One sentence on what the numbers are."""
    first = results[0]
    seeds = max(len(r["seeds"]) for r in results)
    few = (
        ""
        if seeds >= 5
        else f" With {seeds} training seed{'s' * (seeds > 1)}, differences between learners claim nothing."
    )
    return (
        f"{first['world']}; {first['users']:,} users, the same people with the same luck in every row; brackets are "
        f"95 % intervals over {'users' if seeds == 1 else 'seeds and users'}.{few}"
    )


def as_table(results: Sequence[Record]) -> Table:
    """The table for the console."""
    results = in_order(results)
    columns = [column for column in COLUMNS if not column.wide]
    best = best_cells(results, columns)
    table = Table(title="Comparison", caption=caption(results), caption_justify="left", header_style="bold")
    table.add_column("Agent", overflow="fold")
    for column in columns:
        table.add_column(column.title, justify="right")
    for i, record in enumerate(results):
        cells = [_marked(column.text(record), (record["name"], column.title) in best) for column in columns]
        quiet = record["name"] in REFERENCES
        last = i + 1 < len(results) and quiet != (results[i + 1]["name"] in REFERENCES)
        table.add_row(row_title(record), *cells, style="dim" if quiet else None, end_section=last)
    return table


def as_markdown(results: Sequence[Record]) -> str:
    """The wide table as Markdown, its caption below; best contestants in bold, references in italics."""
    results = in_order(results)
    best = best_cells(results)
    lines = ["| Agent | " + " | ".join(column.title for column in COLUMNS) + " |"]
    lines.append("| :-- |" + " --: |" * len(COLUMNS))
    for record in results:
        cells = [column.text(record) for column in COLUMNS]
        cells = [f"**{text}**" if (record["name"], column.title) in best else text
                 for text, column in zip(cells, COLUMNS, strict=True)]  # fmt: skip
        title = row_title(record)
        title = f"*{title}*" if record["name"] in REFERENCES else title
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", caption(results), ""])


def _marked(text: str, best: bool) -> str:
    text = text.replace("[", r"\[")
    return f"[bold green]{text}[/]" if best else text
