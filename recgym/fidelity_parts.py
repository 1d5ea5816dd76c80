"""The comparisons of a fidelity report, one function each: they add lines with verdicts, and curves for plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from recgym.feedback import long_view, valid_play
from recgym.fidelity_measures import (
    UserResamples,
    auc,
    interval_95,
    intraclass_correlation,
    phi,
    reliability,
    together,
)
from recgym.fidelity_report import Line, Target, finite
from recgym.users.watch_table import PUBLISHED_END_S, PUBLISHED_NAMES

RARE: Final = ("follow", "comment", "forward", "hate")
"""Feedbacks so rare that their rate may miss by 25 %, or by what the log itself is unsure of."""

RATE: Final = Target(0.10)
RARE_RATE: Final = Target(0.25, interval=True)
WATCH_TIME: Final = Target(0.10)
COMPLETION: Final = Target(0.10, absolute=0.02)
TOGETHER: Final = Target(0.25, absolute=0.01, interval=True)
PHI: Final = Target(0.0, absolute=0.05)
ALIKE: Final = Target(0.25, absolute=0.03)
PLACE: Final = Target(0.10, interval=True)
LEAVING: Final = Target(0.25, interval=True)
ECE_LIMIT: Final = 0.02
"""Calibration error that click and long view may have at most."""

ENOUGH_ROWS: Final = 100
"""Rows that a duration bucket or a place in the visit needs to be compared."""

ENOUGH_EVENTS: Final = 20
"""Events that a feedback needs before others are compared given it."""

ENOUGH_FOR_ALIKE: Final = 200
"""Events that a feedback needs before its intraclass correlation is judged: with fewer it is little but noise."""

_DECILES = np.arange(1, 10) / 10
_CURVE = np.concatenate([np.arange(1, 50) / 50, [0.99]])
_COMPLETION_EDGES = np.concatenate([np.arange(0, 2.05, 0.05), [np.inf]])
_PLACES = 10
_LEAVE_EDGES = (0, 5, 10, 20, 50)


class View(NamedTuple):
    """Real and simulated rows side by side; n rows, R replays, F signals (the feedbacks, and complete at the end).

    signals: their names. user, item: (n,). duration: (n,) seconds. known: (n,) bool, the duration was not guessed.
    rank: (n,) rows of the visit before this one. real: (n, F) bool. watch_real: (n,) seconds.
    simulated: (R, n, F) bool. watch: (R, n) seconds.
    leaves, ends: (n,) bool, the user would leave by the session model, the visit ends in the log; both empty if
    visits are not compared.
    """

    signals: tuple[str, ...]
    user: np.ndarray
    item: np.ndarray
    duration: np.ndarray
    known: np.ndarray
    rank: np.ndarray
    real: np.ndarray
    watch_real: np.ndarray
    simulated: np.ndarray
    watch: np.ndarray
    leaves: np.ndarray
    ends: np.ndarray


def _share_interval(resampled: UserResamples, event: np.ndarray, among: np.ndarray) -> tuple[float, float]:
    """The 95 % interval over users of the share of rows `among` (n,) bool that have an event.

    Where there is no event at all, no resample has one either; the upper end is then the share at which that would
    happen once in twenty times.
    """
    low, high = interval_95(resampled.ratios((event & among).astype(float), among.astype(float)))
    return low, high if (event & among).any() else 1 - 0.05 ** (1 / max(int(among.sum()), 1))


class Sheet(NamedTuple):
    """What the comparisons fill in."""

    lines: list[Line]
    curves: dict[str, Any]


def rates(view: View, resampled: UserResamples, sheet: Sheet) -> None:
    """The rate of every signal per exposure."""
    bars = []
    for f, name in enumerate(view.signals):
        rows = view.known if name == "complete" else np.ones(len(view.user), np.bool_)
        real, simulated = view.real[rows, f].mean(), view.simulated[:, rows, f].mean()
        interval = _share_interval(resampled, view.real[:, f], rows)
        target = RARE_RATE if name in RARE else RATE
        sheet.lines.append(target.line("rate", name, real, simulated, interval))
        bars.append({"name": name, "real": real, "low": interval[0], "high": interval[1], "simulated": simulated})
    sheet.curves["rates"] = bars


def published_bucket(duration_s: np.ndarray) -> np.ndarray:
    """(n,) int64: which of the ten published duration buckets."""
    return np.asarray(np.searchsorted(PUBLISHED_END_S, duration_s, side="left"))


def watch_times(view: View, resampled: UserResamples, sheet: Sheet) -> None:
    """Deciles of watch time and of completion (watch time / duration) in each published duration bucket."""
    bucket = published_bucket(view.duration)
    sheet.curves["watch_time"] = []
    for b, name in enumerate(PUBLISHED_NAMES):
        rows = np.flatnonzero((bucket == b) & view.known)
        if len(rows) < ENOUGH_ROWS:
            continue
        for part, target, unit in (("watch time, s", WATCH_TIME, np.ones(len(view.user))),
                                   ("completion", COMPLETION, view.duration)):  # fmt: skip
            real, simulated = view.watch_real / unit, view.watch[:, rows] / unit[rows]
            samples = resampled.quantiles(real, rows, _DECILES)
            pairs = zip(np.quantile(real[rows], _DECILES), np.quantile(simulated, _DECILES), strict=True)
            for q, (a, c) in enumerate(pairs):
                line = target.line(part, f"{name}, p{(q + 1) * 10}", a, c, interval_95(samples[:, q]))
                sheet.lines.append(line)
        sheet.curves["watch_time"].append({
            "bucket": name, "rows": len(rows), "at": _CURVE, "real": np.quantile(view.watch_real[rows], _CURVE),
            "simulated": np.quantile(view.watch[:, rows], _CURVE),
        })  # fmt: skip


def completion_histogram(view: View, resampled: UserResamples, sheet: Sheet) -> None:
    """Shares of all rows by watch time / duration; a curve only, the deciles are judged bucket by bucket."""
    duration = view.duration[view.known]
    parts = [np.histogram(watch / duration, _COMPLETION_EDGES)[0] / watch.size
             for watch in (view.watch_real[view.known], view.watch[:, view.known])]  # fmt: skip
    sheet.curves["completion"] = {"edges": _COMPLETION_EDGES[:-1], "real": parts[0], "simulated": parts[1]}


def co_occurrence(view: View, resampled: UserResamples, sheet: Sheet) -> None:
    """P(column feedback | row feedback) and phi, for feedbacks with enough events."""
    real = together(view.real)
    simulated = np.nanmean([together(columns) for columns in view.simulated] + [np.full_like(real, np.nan)], axis=0) \
        if view.simulated.any() else np.full_like(real, np.nan)  # fmt: skip
    counts = view.real.sum(axis=0)
    for i, given in enumerate(view.signals):
        for j, name in enumerate(view.signals):
            if i == j or counts[i] < ENOUGH_EVENTS:
                continue
            interval = _share_interval(resampled, view.real[:, j], view.real[:, i])
            guess = 0.0 if np.isnan(simulated[i, j]) else simulated[i, j]
            sheet.lines.append(TOGETHER.line("together", f"{name} given {given}", real[i, j], guess, interval))
            if i < j and counts[j] >= ENOUGH_EVENTS:
                drawn = [phi(columns[:, i], columns[:, j]) for columns in view.simulated]
                sheet.lines.append(PHI.line("phi", f"{given}, {name}", phi(view.real[:, i], view.real[:, j]),
                                            float(np.mean(np.nan_to_num(drawn)))))  # fmt: skip
    sheet.curves["together"] = {"names": view.signals, "real": real, "simulated": simulated}


def alike(view: View, resampled: UserResamples, sheet: Sheet) -> None:
    """Intraclass correlation of every signal, between users and between items."""
    for part, group in (("users alike", view.user), ("items alike", view.item)):
        for f, name in enumerate(view.signals):
            rows = view.known if name == "complete" else np.ones(len(view.user), np.bool_)
            real = intraclass_correlation(view.real[rows, f], group[rows])
            drawn = [intraclass_correlation(columns[rows, f], group[rows]) for columns in view.simulated]
            simulated = float(np.mean(np.nan_to_num(drawn)))
            few = min(view.real[rows, f].sum(), (~view.real[rows, f]).sum()) < ENOUGH_FOR_ALIKE
            sheet.lines.append(
                Line(part, name, finite(real), simulated) if few else ALIKE.line(part, name, real, simulated)
            )


def places(view: View, resampled: UserResamples, sheet: Sheet) -> None:
    """Rates of click and long view at each of the first ten places of a visit: what fatigue and selection do."""
    for name in ("click", "long_view"):
        if name not in view.signals:
            continue
        f, curve = view.signals.index(name), []
        for place in range(_PLACES):
            rows = view.rank == place
            if rows.sum() < ENOUGH_ROWS:
                continue
            real, simulated = view.real[rows, f].mean(), view.simulated[:, rows, f].mean()
            interval = _share_interval(resampled, view.real[:, f], rows)
            sheet.lines.append(
                PLACE.line("place in the visit", f"{name}, place {place + 1}", real, simulated, interval)
            )
            curve.append({"place": place + 1, "real": real, "simulated": simulated})
        sheet.curves[f"{name} by place"] = curve


def visit_lengths(view: View, resampled: UserResamples, sheet: Sheet) -> None:
    """How often a visit ends after an exposure, by how many came before, in the log and by the session model."""
    if not len(view.ends):
        return
    for low, high in zip(_LEAVE_EDGES, (*_LEAVE_EDGES[1:], np.inf), strict=True):
        rows = (view.rank >= low) & (view.rank < high)
        if rows.sum() < ENOUGH_ROWS:
            continue
        interval = _share_interval(resampled, view.ends, rows)
        name = f"leaves at exposure {low + 1} to {high:.0f}" if np.isfinite(high) else f"leaves after {low} exposures"
        sheet.lines.append(
            LEAVING.line("visit length", name, view.ends[rows].mean(), view.leaves[rows].mean(), interval)
        )
    lengths = view.rank[view.ends] + 1
    sheet.curves["visit length"] = {"at": _CURVE, "real": np.quantile(lengths, _CURVE)}


def calibration(view: View, chances: Mapping[str, np.ndarray], sheet: Sheet) -> None:
    """Calibration error (15 bins of equal mass) and AUC of each probability; a target for click and long view.

    Click and long view are also compared with the rules on watch time, which a log's own labels may not follow.
    """
    rules = {
        "click": valid_play(view.watch_real, view.duration),
        "long_view": long_view(view.watch_real, view.duration),
    }
    sheet.curves["reliability"] = []
    for name, chance in chances.items():
        if name not in view.signals:
            continue
        rows = view.known if name == "complete" else np.ones(len(view.user), np.bool_)
        truths = [("", view.real[rows, view.signals.index(name)])]
        truths += [(" by the rule", rules[name][rows])] if name in rules else []
        for suffix, happened in truths:
            bins = reliability(chance[rows], happened)
            judged = name in rules and not suffix
            sheet.lines.append(Line(
                "calibration error", name + suffix, None, bins.ece, target=f"below {ECE_LIMIT:g}" if judged else "",
                within=bins.ece < ECE_LIMIT if judged else None,
            ))  # fmt: skip
            sheet.lines.append(Line("AUC", name + suffix, None, finite(auc(chance[rows], happened))))
            if not suffix:
                sheet.curves["reliability"].append({"name": name, "predicted": bins.predicted, "real": bins.happened})
