"""One cell of a comparison: one agent with one training seed learns, is evaluated, and is kept whole or not at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recgym.errors import BadData, WrongSetting
from recgym.storage import read_json, write_json
from recgym_experiments.curves import Curves

if TYPE_CHECKING:
    from recgym.evaluate import Evaluation
    from recgym.interaction_log import InteractionLog
    from recgym.policy import Agent
    from recgym.simulator import Simulator
    from recgym_experiments.progress import CellProgress

EVALUATION_SEED = 10_000_000
"""Evaluation user i has the seed EVALUATION_SEED + i, in every cell: the same people with the same luck."""

LOG_SEED = 20_000_000
"""Session i of the log of training seed s has the seed LOG_SEED + s * MOST_SESSIONS + i, apart from all of these."""

MOST_SESSIONS = 1_000_000
"""Most sessions of a training log, and most users of an evaluation, so that their seeds stay apart."""

LOG_POLICY = "logging"
"""The agent whose sessions the others learn from."""


@dataclass(frozen=True)
class Conditions:
    """What is the same for every cell of a comparison."""

    world: str
    """World id and fingerprint of all its settings."""
    simulator: Simulator
    """The world."""
    eval_users: int
    """Users of the evaluation."""
    log: Mapping[str, Any]
    """How training logs are made, as JSON: `policy`, its `settings`, number of `sessions`."""
    log_settings: Mapping[str, Any]
    """Settings of the logging agent that differ from its defaults."""
    popularity: np.ndarray | None = None
    """(N,) float64: one more than how often each item occurs in the log of seed 0; what novelty is measured against."""


@dataclass(frozen=True)
class Cell:
    """One agent with one training seed."""

    agent: str
    """Registered name."""
    seed: int
    """Training seed."""
    learns_from: str
    """"nothing", "log" or "simulator"."""
    changed: Mapping[str, Any]
    """Settings that differ from the agent's defaults."""
    wanted: Mapping[str, Any]
    """Everything that decides the outcome, as JSON; a finished cell is only used again if all of it is equal."""
    steps: int | None
    """Steps that the agent will report, where its settings say so; for the progress bar."""

    def folder(self, out: Path) -> Path:
        """Where the finished cell lies."""
        return out / "agents" / self.agent / f"seed_{self.seed}"

    def events(self, out: Path) -> Path:
        """Where its TensorBoard files lie."""
        return out / "tensorboard" / self.agent / f"seed_{self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What is known of a finished cell."""

    evaluation: Evaluation
    """One number per user and metric."""
    losses: Mapping[str, float | None]
    """What `learn` returned."""
    curve: Mapping[str, Any] | None
    """The learning curve: `metric`, `steps`, `value`."""
    seconds: Mapping[str, float]
    """Wall seconds of `learning` and `evaluation`, CPU seconds of `learning_cpu`."""
    steps: int
    """Steps learned."""


def is_finished(cell: Cell, out: Path) -> bool:
    """Whether the cell lies in `out` already.

    Raises:
        WrongSetting: one made with other settings lies there; says what differs.
    """
    folder = cell.folder(out)
    if not folder.exists():
        return False
    differing = differences(read_json(folder / "settings.json"), cell.wanted)
    if differing:
        raise WrongSetting(
            f"{folder} was made with other settings: {'; '.join(differing)}. Results of different settings are not "
            "mixed: choose another --out, or start this one over with --fresh."
        )
    return True


def differences(there: Any, wanted: Any, name: str = "") -> list[str]:
    """One text for each value that differs between two JSON trees: "name was 1, now 2"."""
    if isinstance(there, Mapping) and isinstance(wanted, Mapping):
        keys = sorted({*there, *wanted})
        return [
            text
            for key in keys
            for text in differences(there.get(key, "absent"), wanted.get(key, "absent"), f"{name}.{key}".lstrip("."))
        ]
    return [] if there == wanted else [f"{name} was {there!r}, now {wanted!r}"]


def run_cell(cell: Cell, conditions: Conditions, out: Path, progress: CellProgress) -> None:
    """Learn, evaluate and write the cell; nothing is left in its place if this is interrupted."""
    agent = new_agent(cell.agent, conditions.simulator, cell.changed)
    curves = Curves(cell.events(out))
    try:
        log = training_log(conditions, cell.seed, out, progress) if cell.learns_from == "log" else None
        losses, seconds = _learn(agent, cell, log, curves, progress)
        progress.begin(f"{cell.agent}, seed {cell.seed}: evaluating", conditions.eval_users)
        started = time.perf_counter()
        evaluation = evaluate_agent(agent, conditions, cell.agent, progress)
        seconds["evaluation"] = time.perf_counter() - started
        curves.add(curves.steps, evaluation_scalars(evaluation.per_user))
    finally:
        curves.close()
    with whole_folder(cell.folder(out)) as folder:
        agent.save(folder / "agent")
        (folder / "evaluation").mkdir()
        evaluation.save(folder / "evaluation")
        learned = {"losses": finite(losses), "curve": curves.learning(), "seconds": seconds, "steps": curves.steps}
        write_json(folder / "outcome.json", learned)
        write_json(folder / "settings.json", dict(cell.wanted))


def read_outcome(cell: Cell, out: Path) -> Outcome:
    """Read what `run_cell` wrote."""
    from recgym.evaluate import Evaluation

    folder = cell.folder(out)
    return Outcome(Evaluation.load(folder / "evaluation"), **read_json(folder / "outcome.json"))


def new_agent(name: str, simulator: Simulator, changed: Mapping[str, Any]) -> Agent:
    """A fresh agent with some settings changed."""
    from recgym_agents import make_agent  # only now: agents bring torch

    agent: Agent = make_agent(name, simulator, **changed)
    return agent


def evaluate_agent(agent: Agent, conditions: Conditions, name: str, progress: CellProgress) -> Evaluation:
    """The evaluation on the fixed users, see `EVALUATION_SEED`."""
    from recgym.evaluate import evaluate

    return evaluate(
        agent.policy, conditions.simulator, EVALUATION_SEED + np.arange(conditions.eval_users), name=name,
        progress=progress.move, popularity=conditions.popularity,
    )  # fmt: skip


def evaluation_scalars(per_user: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Mean of each metric over the users who have a value, named for TensorBoard."""
    return {f"evaluation/{name}": float(np.nanmean(v)) for name, v in per_user.items() if np.isfinite(v).any()}


def training_log(conditions: Conditions, seed: int, out: Path, progress: CellProgress) -> InteractionLog:
    """The log of a training seed: read from `out/logs` if it lies there, otherwise made and kept.

    Raises:
        WrongSetting: a log made with other settings lies there.
    """
    from recgym.interaction_log import InteractionLog

    path = out / "logs" / f"seed_{seed}.parquet"
    source = {"world": conditions.world, **{f"log_{key}": str(value) for key, value in conditions.log.items()}}
    if not path.exists():
        _write_log(conditions, seed, path, source, progress)
    log = InteractionLog.load(path)
    differing = differences({key: log.source.get(key, "absent") for key in source}, source)
    if differing:
        raise WrongSetting(f"{path}: {'; '.join(differing)}. Choose another --out, or start over with --fresh.")
    return log


def with_popularity(conditions: Conditions, out: Path, progress: CellProgress) -> Conditions:
    """The same conditions with the popularity that novelty is measured against."""
    shown = training_log(conditions, 0, out, progress).array("item")
    return replace(conditions, popularity=1.0 + np.bincount(shown, minlength=len(conditions.simulator.catalog)))


def _write_log(conditions: Conditions, seed: int, path: Path, source: dict[str, str], progress: CellProgress) -> None:
    from recgym.interaction_log import InteractionLog
    from recgym.rollout import rollout

    sessions = int(conditions.log["sessions"])
    progress.begin(f"log for seed {seed}: {sessions:,} sessions", sessions)
    agent = new_agent(LOG_POLICY, conditions.simulator, conditions.log_settings)
    luck = LOG_SEED + seed * MOST_SESSIONS + np.arange(sessions)
    made = rollout(agent.policy, conditions.simulator, luck, observations=True, progress=progress.move)
    InteractionLog(made.table, made.feedback, {**made.source, **source}).save(path)


def _learn(
    agent: Agent, cell: Cell, log: InteractionLog | None, curves: Curves, progress: CellProgress
) -> tuple[dict[str, float], dict[str, float]]:
    """What `learn` returned, and the seconds it took."""
    if cell.learns_from == "nothing":
        return {}, {"learning": 0.0, "learning_cpu": 0.0}
    progress.begin(f"{cell.agent}, seed {cell.seed}: learning", cell.steps)

    def report(steps: int, scalars: Mapping[str, float]) -> None:
        curves.add(steps, scalars)
        progress.move(steps, scalars)

    wall, cpu = time.perf_counter(), time.process_time()
    losses = dict(agent.learn(log, cell.seed, report))
    return losses, {"learning": time.perf_counter() - wall, "learning_cpu": time.process_time() - cpu}


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Numbers as strict JSON knows them: NaN and infinity become None."""
    return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path` to write to; rename it to `path` only if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            raise BadData(f"{path}: appeared while it was being made; does another process write to this folder?")
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
