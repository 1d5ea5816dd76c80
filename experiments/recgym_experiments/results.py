"""From finished cells to results: one plain record per agent, in strict JSON, enough to print, plot or repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from recgym.simulator import Simulator
from recgym.statistics import Interval, improvement_interval, interquartile_mean, interval, paired_difference
from recgym_experiments.cells import Cell, Conditions, Outcome, finite, read_outcome
from recgym_experiments.provenance import provenance

ENOUGH_SEEDS: Final = 5
"""Results of fewer training seeds are labelled as such."""

PER_VISIT: Final = ("cost_early_exit",)
"""Sums that are counted per visit instead of per exposure, as `Objective.limits` does."""

COMPARED: Final = ("watch_time_s", "reward", "depth")
"""Metrics of which the interquartile mean and the probability of improvement are given, too."""

PAIRED: Final = (*COMPARED, "return_gap_days", "intra_list_diversity", "novelty_bits")
"""Metrics of which the paired difference to the random policy is given, besides all rates."""


@dataclass(frozen=True)
class ExperimentResult:
    """One agent in one world. S training seeds (one for agents that learn from nothing), U evaluation users.

    Column u is the same user with the same luck in every result over the same `world`.
    """

    name: str
    """Registered name of the agent."""
    learns_from: str
    """"nothing", "log" or "simulator"."""
    world: str
    """World id and fingerprint of all its settings."""
    config: Mapping[str, Any]
    """Every setting used, as JSON."""
    seeds: tuple[int, ...]
    """The S training seeds."""
    per_user: Mapping[str, np.ndarray]
    """Metric -> (S, U) float64."""
    outcomes: tuple[Outcome, ...]
    """The finished cells, one per seed."""

    def seeds_note(self) -> str:
        """What to say about the number of seeds: "" if nothing."""
        if self.learns_from == "nothing" or len(self.seeds) >= ENOUGH_SEEDS:
            return ""
        return "single run" if len(self.seeds) == 1 else f"{len(self.seeds)} seeds"


def collect(
    cells: Sequence[Cell], conditions: Conditions, config: Mapping[str, Any], out: Path
) -> list[dict[str, Any]]:
    """The records of all agents of finished cells, in the order of the cells; random, popularity and oracle among them.

    Args:
        cells: the plan; all must be finished.
        conditions: what is the same for all of them.
        config: settings of the comparison as JSON.
        out: folder of the comparison.
    """
    by_agent: dict[str, list[Cell]] = {}
    for cell in cells:
        by_agent.setdefault(cell.agent, []).append(cell)
    results = [_result(name, own, conditions, config, out) for name, own in by_agent.items()]
    origin = provenance()
    reference = next((result for result in results if result.name == "random"), None)
    return [_record(result, reference, conditions.simulator, origin) for result in results]


def _result(
    name: str, cells: Sequence[Cell], conditions: Conditions, config: Mapping[str, Any], out: Path
) -> ExperimentResult:
    outcomes = tuple(read_outcome(cell, out) for cell in cells)
    played = [outcome.evaluation.per_user for outcome in outcomes]
    per_user = {metric: np.stack([part[metric] for part in played]) for metric in played[0]}
    per_user |= per_exposure(per_user)
    own = {"comparison": dict(config), "agent": cells[0].wanted["settings"], "log": cells[0].wanted["log"]}
    seeds = tuple(cell.seed for cell in cells)
    return ExperimentResult(name, cells[0].learns_from, conditions.world, own, seeds, per_user, outcomes)


def _record(
    result: ExperimentResult, reference: ExperimentResult | None, simulator: Simulator, origin: Mapping[str, str]
) -> dict[str, Any]:
    """All that is published of one agent, in JSON's terms."""
    known = {metric: values for metric, values in result.per_user.items() if np.isfinite(values).any()}
    metrics = {metric: _numbers(interval(values)) for metric, values in known.items() if not metric.endswith("_rate")}
    shared = [metric for metric in COMPARED if metric in metrics]
    record = {
        "name": result.name,
        "label": label(result.name),
        "learns_from": result.learns_from,
        "world": result.world,
        "seeds": list(result.seeds),
        "seeds_note": result.seeds_note(),
        "users": len(next(iter(result.per_user.values()))[0]),
        "metrics": metrics,
        "interquartile_mean": {metric: float(interquartile_mean(result.per_user[metric])) for metric in shared},
        "costs": _costs(metrics, simulator),
        "catalogue": _means([finite(outcome.evaluation.catalogue) for outcome in result.outcomes]),
        "survival": survival(result.per_user["depth"]),
        "learning_curves": _curves(result),
        "training": _training(result),
        "config": dict(result.config),
        "provenance": dict(origin),
    }
    return record | _beside(result, reference, [metric for metric in metrics if metric in PAIRED or "_per_" in metric])


def _beside(result: ExperimentResult, reference: ExperimentResult | None, metrics: Sequence[str]) -> dict[str, Any]:
    """How an agent differs from the random policy, user by user; nothing for the random policy itself."""
    if reference is None or result.name == reference.name:
        return {"minus_random": {}, "better_than_random": {}}
    pairs = {metric: (result.per_user[metric], reference.per_user[metric]) for metric in metrics}
    return {
        "minus_random": {metric: _numbers(paired_difference(*pair)) for metric, pair in pairs.items()},
        "better_than_random": {
            metric: _numbers(improvement_interval(*pair)) for metric, pair in pairs.items() if metric in COMPARED
        },
    }


def label(name: str) -> str:
    """How an agent is called in tables and plots."""
    from recgym_agents import AGENTS

    usual = name.upper() if len(name) <= 4 else name.replace("_", " ")
    return str(getattr(AGENTS.get(name), "label", usual))


def survival(depth: np.ndarray) -> dict[str, list[float]]:
    """Share of sessions that are longer than each depth, from depth 0 to the longest; at most 100 points.

    Args:
        depth: (S, U), exposures of each session.
    """
    longest = int(depth.max())
    at = np.unique(np.linspace(0, longest, min(longest + 1, 100)).astype(int))
    return {"depth": at.tolist(), "share": [float((depth > d).mean()) for d in at]}


def per_exposure(per_user: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Counts per exposure of everybody together, as `<name>_per_exposure` (S, U) for each that has a `<name>_rate`.

    Those in `PER_VISIT` are counted per visit and called `<name>_per_visit`.

    The mean of the users' own rates would give each exposure of a short session more weight. The ratio of two means
    is instead written as the mean of r + (count - r * depth) / mean depth, r being the ratio (the delta method), so
    it has intervals and paired differences like any other metric.
    """
    rates: dict[str, np.ndarray] = {}
    for name in [name for name in per_user if f"{name}_rate" in per_user]:
        per = "visit" if name in PER_VISIT else "exposure"
        size = per_user["visits" if per == "visit" else "depth"]
        rate = per_user[name].mean() / size.mean()
        rates[f"{name}_per_{per}"] = rate + (per_user[name] - rate * size) / size.mean()
    return rates


def _numbers(found: Interval) -> dict[str, float | None]:
    return {
        name: float(value) if np.isfinite(value) else None
        for name, value in (("mean", found.mean), ("low", found.low), ("high", found.high))
    }


def _costs(metrics: Mapping[str, Mapping[str, float | None]], simulator: Simulator) -> dict[str, dict[str, Any]]:
    """Each cost per exposure (early_exit: per visit), its limit, and whether its mean keeps to it."""
    costs: dict[str, dict[str, Any]] = {}
    for name in simulator.objective.costs:
        per = "visit" if f"cost_{name}" in PER_VISIT else "exposure"
        found = metrics.get(f"cost_{name}_per_{per}")
        if found is None:
            continue
        limit, mean = simulator.objective.limits.get(name), found["mean"]
        within = None if limit is None or mean is None else bool(mean <= limit)
        costs[name] = {**found, "per": per, "limit": limit, "within": within}
    return costs


def _means(parts: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Mean over seeds of each number; None where a seed has none."""
    out: dict[str, float | None] = {}
    for name in parts[0]:
        values = [value for part in parts if (value := part[name]) is not None]
        out[name] = float(np.mean(values)) if len(values) == len(parts) else None
    return out


def _curves(result: ExperimentResult) -> list[dict[str, Any]]:
    curves = zip(result.seeds, result.outcomes, strict=True)
    return [{"seed": seed, **outcome.curve} for seed, outcome in curves if outcome.curve]


def _training(result: ExperimentResult) -> dict[str, Any]:
    """Mean wall and CPU seconds over seeds, steps, and the mean losses."""
    outcomes = result.outcomes
    seconds = {f"{name}_s": float(np.mean([o.seconds[name] for o in outcomes])) for name in outcomes[0].seconds}
    return {
        **seconds,
        "steps": int(np.mean([o.steps for o in outcomes])),
        "losses": _means([o.losses for o in outcomes]),
    }
