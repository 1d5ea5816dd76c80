"""The reports: one file each, without outside parts, that say what the results say."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from recgym.fidelity_report import FidelityReport, Line
from recgym.storage import read_json, write_json
from recgym_experiments.fidelity_page import fidelity_figures, page
from recgym_experiments.figures import all_figures, colour_of
from recgym_experiments.page import script_safe
from recgym_experiments.report import flat, headline, rebuild_report, report_html
from recgym_experiments.tables import as_markdown, as_table, best_cells, in_order, number, with_interval


def interval(mean: float, spread: float = 1.0) -> dict[str, float]:
    return {"mean": mean, "low": mean - spread, "high": mean + spread}


def record(name: str, watch: float, hate: float, seeds: int = 5, learns_from: str = "log") -> dict[str, Any]:
    """A result record with round numbers."""
    rates = {f"{feedback}_per_exposure": interval(rate, 0.001) for feedback, rate in
             (("click", 0.2), ("long_view", 0.1), ("like", 0.01), ("hate", hate))}  # fmt: skip
    return {
        "name": name, "label": name.replace("_", " "), "learns_from": learns_from, "world": "recgym/Test-v0@abc",
        "seeds": list(range(seeds)), "seeds_note": "" if seeds >= 5 or learns_from == "nothing" else f"{seeds} seeds",
        "users": 100,
        "metrics": {"watch_time_s": interval(watch), "depth": interval(30), "return_gap_days": interval(2), **rates},
        "interquartile_mean": {"watch_time_s": watch},
        "minus_random": {} if name == "random" else {"watch_time_s": interval(watch - 100)},
        "better_than_random": {} if name == "random" else {"watch_time_s": interval(0.6, 0.1)},
        "costs": {"hate": {**interval(hate, 0.001), "per": "exposure", "limit": 0.002, "within": hate <= 0.002}},
        "catalogue": {"coverage": 0.5, "gini_exposure": None},
        "survival": {"depth": [0, 1, 2], "share": [1.0, 0.5, 0.0]},
        "learning_curves": [] if learns_from == "nothing" else [
            {"seed": 0, "metric": "train/loss", "steps": [1, 2], "value": [2.0, 1.0]}],
        "training": {"learning_s": 0.0 if learns_from == "nothing" else 12.5, "steps": 1000, "losses": {"loss": None}},
        "config": {"comparison": {"seeds": seeds}, "agent": {"steps": 1000}, "log": None},
        "provenance": {"commit": "abc</script>", "numpy": "2"},
    }  # fmt: skip


@pytest.fixture
def results() -> list[dict[str, Any]]:
    return [
        record("random", 100, 0.001, 1, "nothing"), record("popularity", 150, 0.002),
        record("oracle", 400, 0.001, 1, "nothing"),
        record("good", 300, 0.004), record("careful", 200, 0.0005),
    ]  # fmt: skip


class Outside(HTMLParser):
    """Collects everything that a browser would fetch for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {key: value or "" for key, value in attrs}
        self.ids += [known["id"]] if "id" in known else []
        if tag == "a":
            self.links.append(known.get("href", ""))
        elif "src" in known or (tag == "link" and "href" in known):
            self.wanted.append(f"{tag} {known}")


def parsed(html: str) -> Outside:
    found = Outside()
    found.feed(html)
    return found


def test_the_report_is_one_file_and_its_links_lead_somewhere(results: list[dict[str, Any]]) -> None:
    html = report_html(results)
    found = parsed(html)
    assert found.wanted == []
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert html.count("plotly.js v") == 1, "the plotting library is inside, once"
    assert "prefers-color-scheme: dark" in html


def test_the_report_holds_every_plot_and_every_agent(results: list[dict[str, Any]]) -> None:
    html = report_html(results)
    ids = ["watch-time", "differences", "rates", "trade-off", "costs", "survival", "learning", "training"]
    assert [figure["id"] for figure in all_figures(results)] == ids
    plots = json.loads(re.search(r"^const plots = (.*);$", html, re.MULTILINE)[1])  # type: ignore[index]
    assert list(plots) == ids
    for name in ("random", "popularity", "good", "careful", "oracle"):
        assert f">{name}" in html


def test_what_is_written_by_others_cannot_break_the_page(results: list[dict[str, Any]]) -> None:
    results[3]["label"] = "<b>good</b></script>"
    html = report_html(results)
    assert "<b>good</b>" not in html
    assert html.count("</script>") == 2
    assert script_safe({"a": "</script>"}) == '{"a": "<\\/script>"}'


def test_random_and_popularity_come_first_and_the_oracle_last(results: list[dict[str, Any]]) -> None:
    assert [r["name"] for r in in_order(results)] == ["random", "popularity", "careful", "good", "oracle"]


def test_only_contestants_can_be_best(results: list[dict[str, Any]]) -> None:
    best = best_cells(results)
    assert ("good", "Watch time, s / session") in best
    assert ("careful", "Hate %") in best, "fewer hates are better"
    assert not [name for name, _ in best if name in ("random", "popularity", "oracle")]
    assert best_cells([r for r in results if r["name"] != "good"]) == set(), "one contestant alone is not the best"


def test_the_headline_is_the_best_contestant(results: list[dict[str, Any]]) -> None:
    said = headline(results)
    assert said.startswith("Good keeps users watching longest: 300 s a session (95 % interval 299 to 301).")
    assert "random 100 s, popularity 150 s, oracle 400 s" in said
    assert headline(results[:3]) == "Only the reference policies were compared."


def test_markdown_has_a_row_for_each_agent(results: list[dict[str, Any]]) -> None:
    lines = as_markdown(results).splitlines()
    assert len({line.count("|") for line in lines[:7]}) == 1
    assert lines[2].startswith("| *random* | 100.0 [99.0, 101.0] | - |")
    assert "**300.0 [299.0, 301.0]**" in lines[5]
    assert lines[6].startswith("| *oracle* |")


def test_the_console_table_shows_intervals_and_warns_of_few_seeds() -> None:
    few = [record("random", 100, 0.001, 1, "nothing"), record("good", 300, 0.004, 2)]
    shown = io.StringIO()
    Console(width=160, file=shown).print(as_table(few))
    text = shown.getvalue()
    assert "300.0 [299.0, 301.0]" in text
    assert "good (2 seeds)" in text
    assert "claim nothing" in " ".join(text.split())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (312.44, "312.4"),
        (10.0, "10.0"),
        (1.234, "1.23"),
        (0.0512, "0.051"),
        (0.0, "0.00"),
        (None, "-"),
        (-12.34, "-12.3"),
    ],
)
def test_numbers_keep_their_meaningful_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_an_interval_with_signs() -> None:
    assert with_interval({"mean": 5.0, "low": -1.0, "high": 20.0}, sign=True) == "+5.00 [-1.00, +20.0]"
    assert with_interval(None) == "-"


def test_every_agent_keeps_its_colour(results: list[dict[str, Any]]) -> None:
    colours = colour_of(in_order(results))
    assert len(set(colours.values())) == len(colours)
    for figure in all_figures(results)[:1]:
        by_name = {trace["y"][0]: trace["marker"]["color"] for trace in figure["plot"]["data"]}
        assert by_name == {name: colours[name] for name in by_name}


def test_results_without_curves_costs_or_pairs_still_make_a_report(results: list[dict[str, Any]]) -> None:
    alone = results[:1]
    alone[0]["costs"] = {}
    assert [figure["id"] for figure in all_figures(alone)] == ["watch-time", "rates", "trade-off", "survival"]
    assert "Only the reference policies" in report_html(alone)


def test_a_report_can_be_made_again_from_its_results(results: list[dict[str, Any]], tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", results)
    assert rebuild_report(tmp_path).read_text(encoding="utf-8") == report_html(read_json(tmp_path / "results.json"))


def test_flat_names_the_places_in_a_tree() -> None:
    assert flat({"a": {"b": 1, "c": {}}, "d": "x", "e": [1]}) == {"a.b": "1", "a.c": "{}", "d": "x", "e": "[1]"}


def fidelity_report() -> FidelityReport:
    lines = (
        Line("rate", "click", 0.5, 0.49, 0.48, 0.52, "within 10%", True),
        Line("rate", "hate", 0.001, 0.005, 0.0005, 0.002, "within 25%", False),
        Line("AUC", "click", None, 0.7),
    )
    curves = {
        "rates": [{"name": "click", "real": 0.5, "low": 0.48, "high": 0.52, "simulated": 0.49},
                  {"name": "hate", "real": 0.001, "low": None, "high": None, "simulated": 0.0}],
        "watch_time": [{"bucket": name, "rows": 9, "at": [0.0, 1.0], "real": [0.0, 9.0], "simulated": [0.1, 8.0]}
                       for name in ("<=10 s", ">10 s")],
        "completion": {"edges": [0.0, 0.5], "real": [0.6, 0.4], "simulated": [0.5, 0.5]},
        "together": {"names": ["click", "hate"], "real": [[1, 0.2], [None, 1]], "simulated": [[1, 0.3], [0.5, 1]]},
        "click by place": [{"place": 1, "real": 0.5, "simulated": 0.4}],
        "reliability": [{"name": "click", "predicted": [0.1, 0.9], "real": [0.2, 0.8]}],
    }  # fmt: skip
    return FidelityReport("users beside <a log>", lines, curves, ("a note",))


def test_the_fidelity_page_shows_every_line_and_curve() -> None:
    html = page(fidelity_report())
    found = parsed(html)
    assert found.wanted == []
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert "users beside &lt;a log&gt;" in html
    assert "1 of 2 lines within target." in html
    assert re.search(r'<tr class="outside"><td>hate</td><td>0.001</td><td>0.0005 to 0.002</td><td>0.005</td>', html)
    assert [figure["id"] for figure in fidelity_figures(fidelity_report().curves)] == [
        "rates", "watch-time", "completion", "together", "reliability", "places",
    ]  # fmt: skip


def test_a_fidelity_page_without_curves_has_no_plots() -> None:
    assert fidelity_figures({}) == []
