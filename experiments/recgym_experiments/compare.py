"""Which agent keeps users watching longest, and at what cost? All agents on the same users with the same luck."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import tyro

import recgym
from recgym.errors import WrongSetting
from recgym.storage import read_json, write_json, write_text
from recgym.user_model import ExpectingUserModel
from recgym_experiments.agent_settings import parse_overrides, plain, settings_json
from recgym_experiments.cells import (
    EVALUATION_SEED,
    LOG_POLICY,
    MOST_SESSIONS,
    Cell,
    Conditions,
    is_finished,
    read_outcome,
    run_cell,
    with_popularity,
)
from recgym_experiments.fingerprint import world_name
from recgym_experiments.progress import CellProgress
from recgym_experiments.screen import screen

if TYPE_CHECKING:
    from rich.console import Console

    from recgym.simulator import Simulator

ALWAYS: Final = ("random", "popularity", "oracle")
"""Agents that stand in every table."""

MARKER = "comparison.json"
"""File that marks a folder as one of ours: nothing else is ever resumed or, with --fresh, removed."""

OURS = ("agents", "logs", "tensorboard")
"""Folders that --fresh removes."""


@dataclass(frozen=True)
class Settings:
    """Which agents are compared, in which world, and how thoroughly."""

    preset: Literal["demo", "quick", "full"] = "full"
    """Where the other settings start from: "demo" takes minutes, "quick" tests that it works, "full" gives a result."""
    world: str = "recgym/ShortVideo-v0"
    """World to play in, see `recgym worlds`."""
    users: str | None = None
    """Folder written by `recgym fit`, or name of a registered user model, instead of the world's own users."""
    agents: tuple[str, ...] = ()
    """Agents to compare, see `recgym agents`; empty = all. Random, popularity and oracle always join."""
    seeds: int = 5
    """Training seeds 0, 1, ...; each agent learns once with each. Fewer than five make no claim."""
    eval_users: int = 1000
    """Users that every policy is evaluated on: the same people with the same luck, one whole session each."""
    train_sessions: int = 2000
    """Sessions in the log that agents of the kind "log" learn from; one log per training seed."""
    overrides: Annotated[
        tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="set", metavar="AGENT.SETTING=VALUE")
    ] = ()
    """Settings of agents, such as ppo.steps=50000; on top of those of the preset. Names: `recgym agents ppo`."""
    limits: Annotated[Mapping[str, float], tyro.conf.arg(metavar="COST LIMIT")] = field(default_factory=dict)
    """Upper limits of costs per exposure (early_exit: per visit), such as hate 0.001; instead of the world's own."""
    n_items: int | None = None
    """Size of the synthetic catalogue; None = the world's own."""
    slate_size: int | None = None
    """Items shown at a step; None = the world's own."""
    max_steps: int | None = None
    """Steps after which an episode is cut off; None = the world's own."""
    out: Path = Path("runs/comparison")
    """Folder of the results. Run again with the same folder, the comparison goes on where it stopped."""
    fresh: bool = False
    """Throw away what an earlier comparison left in the folder."""
    ray: bool = False
    """Spread the agents and seeds over a Ray cluster (RAY_ADDRESS, or one started on this machine)."""

    def __post_init__(self) -> None:
        allowed = {"seeds": 1000, "eval_users": MOST_SESSIONS, "train_sessions": MOST_SESSIONS}
        for name, most in allowed.items():
            if not 1 <= getattr(self, name) <= most:
                raise WrongSetting(f"{name} is {getattr(self, name)}; it must lie between 1 and {most:,}.")

    def override_texts(self) -> tuple[str, ...]:
        """All "AGENT.SETTING=VALUE" texts in the order in which they were given."""
        return tuple(text for group in self.overrides for text in group)


BUDGETS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "demo": {
        "ppo": {"steps": 200_000},
        "a2c": {"steps": 200_000},
        "sac": {"steps": 30_000},
    },
    "quick": {"ppo": {"steps": 4_096}, "behaviour_cloning": {"epochs": 2}},
    "full": {},
}
"""Preset -> agent -> settings that differ from the agent's defaults: how long it learns, never how."""

PRESETS: Final[dict[str, Settings]] = {
    "demo": Settings(
        preset="demo", agents=("behaviour_cloning", "watch_time_ranker", "ppo", "a2c", "sac"),
        seeds=2, eval_users=500, train_sessions=1000, out=Path("runs/demo"),
    ),
    "quick": Settings(
        preset="quick", agents=("behaviour_cloning", "ppo"), seeds=2, eval_users=50, train_sessions=50,
        n_items=500, max_steps=50, out=Path("runs/quick"),
    ),
    "full": Settings(),
}  # fmt: skip
"""Starting points of the command line; what is given there replaces single settings."""


def online_comparison(settings: Settings, console: Console | None = None) -> Path:
    """Run the comparison, or what is left of it; write results.json, table.md and report.html; print the table.

    Args:
        settings: see `Settings`.
        console: where progress and the table are shown; None = standard output.

    Returns:
        The folder of the results.
    """
    from recgym_experiments.report import write_report
    from recgym_experiments.results import collect
    from recgym_experiments.tables import as_markdown, as_table

    console = console or screen()
    simulator = world_of(settings)
    conditions = conditions_of(settings, simulator)
    cells = plan(settings, conditions, console)
    prepare(settings)
    todo = [cell for cell in cells if not is_finished(cell, settings.out)]
    if len(todo) < len(cells):
        console.print(f"{len(cells) - len(todo)} of {len(cells)} cells were finished before and are kept.")
    _run(todo, conditions, settings, console)
    results = collect(cells, conditions, config_of(settings), settings.out)
    write_json(settings.out / "results.json", results)
    write_text(settings.out / "table.md", as_markdown(results))
    write_report(results, settings.out / "report.html")
    console.print(as_table(results))
    console.print(f"Results: {settings.out / 'results.json'}   Report: {settings.out / 'report.html'}", highlight=False)
    return settings.out


def world_of(settings: Settings) -> Simulator:
    """The world of the comparison."""
    from recgym_envs.worlds import make_simulator

    changed = {name: getattr(settings, name) for name in ("n_items", "slate_size", "max_steps")}
    simulator = make_simulator(
        settings.world, users=settings.users, **{name: value for name, value in changed.items() if value is not None}
    )
    if not settings.limits:
        return simulator
    return replace(simulator, objective=replace(simulator.objective, limits=dict(settings.limits)))


def conditions_of(settings: Settings, simulator: Simulator) -> Conditions:
    """What is the same for all cells."""
    from recgym_agents import agent_settings

    changed = _changed_settings(settings, [LOG_POLICY]).get(LOG_POLICY, {})
    log = {
        "policy": LOG_POLICY, "sessions": settings.train_sessions,
        "settings": settings_json(agent_settings(LOG_POLICY)(**changed)),
    }  # fmt: skip
    return Conditions(world_name(settings.world, simulator), simulator, settings.eval_users, log, changed)


def agent_names(settings: Settings, simulator: Simulator, console: Console) -> list[str]:
    """The agents of the comparison: random, popularity, oracle and those asked for, each once."""
    from recgym_agents import AGENTS

    asked = settings.agents or tuple(name for name in AGENTS.names() if name != LOG_POLICY)
    for name in asked:
        AGENTS.get(name)
    names = list(dict.fromkeys([*ALWAYS, *asked]))
    if "oracle" in names and not isinstance(simulator.users, ExpectingUserModel):
        console.print(
            f"[yellow]No oracle row: {type(simulator.users).__name__} cannot say what its users will do on average "
            "(it has no method `expect`)."
        )
        names.remove("oracle")
    return names


def plan(settings: Settings, conditions: Conditions, console: Console) -> list[Cell]:
    """All cells, seed by seed; agents that learn from nothing have only one."""
    names = agent_names(settings, conditions.simulator, console)
    changed = _changed_settings(settings, [*names, LOG_POLICY])
    return [
        cell
        for seed in range(settings.seeds)
        for name in names
        if (cell := _cell(name, seed, conditions, changed.get(name, {}))).learns_from != "nothing" or seed == 0
    ]


def _cell(name: str, seed: int, conditions: Conditions, changed: Mapping[str, Any]) -> Cell:
    from recgym_agents import AGENTS, agent_settings

    learns_from = AGENTS.get(name).learns_from
    chosen = agent_settings(name)(**changed)
    wanted = {
        "recgym": recgym.__version__, "world": conditions.world, "agent": name, "seed": seed,
        "settings": settings_json(chosen),
        "evaluation": {"users": conditions.eval_users, "first_seed": EVALUATION_SEED},
        "log": plain(conditions.log) if learns_from == "log" else None,
    }  # fmt: skip
    steps = getattr(chosen, "steps", None)
    return Cell(name, seed, learns_from, changed, wanted, steps if isinstance(steps, int) else None)


def _changed_settings(settings: Settings, names: list[str]) -> dict[str, dict[str, Any]]:
    """Agent -> settings that differ from its defaults: those of the preset, then those of --set."""
    from recgym_agents import agent_settings

    given = settings.override_texts()
    kinds = {name: agent_settings(name) for name in names}
    if len(names) == 1:
        given = tuple(text for text in given if text.startswith(f"{names[0]}."))
    changed = {name: dict(values) for name, values in BUDGETS[settings.preset].items() if name in kinds}
    for name, values in parse_overrides(given, kinds).items():
        changed.setdefault(name, {}).update(values)
    return changed


def prepare(settings: Settings) -> None:
    """Mark the folder as ours, remove what an interrupted run left half done, and with --fresh everything of ours.

    Raises:
        WrongSetting: the folder holds something else.
    """
    out, marker = settings.out, settings.out / MARKER
    if out.exists() and not marker.exists() and any(out.iterdir()):
        raise WrongSetting(
            f"{out} holds files that are not of a comparison; choose an empty or a new folder for --out."
        )
    if settings.fresh:
        for name in OURS:
            shutil.rmtree(out / name, ignore_errors=True)
    for half_done in out.glob("agents/*/.*.partial"):
        shutil.rmtree(half_done, ignore_errors=True)
    if not marker.exists() or read_json(marker) != config_of(settings):
        write_json(marker, config_of(settings))


def config_of(settings: Settings) -> dict[str, Any]:
    """The settings of a comparison as JSON."""
    config = {
        f.name: getattr(settings, f.name) for f in fields(settings) if f.name not in ("fresh", "ray", "overrides")
    }
    return {**{name: plain(value) for name, value in config.items()}, "set": list(settings.override_texts())}


def _run(todo: list[Cell], conditions: Conditions, settings: Settings, console: Console) -> None:
    """Run the cells that are not finished, here or on Ray."""
    if not todo:
        return
    with CellProgress(console, len(todo)) as progress:
        conditions = with_popularity(conditions, settings.out, progress)
        if settings.ray:
            from recgym_experiments.distribute import run_on_ray

            run_on_ray(todo, conditions, settings.out, os.environ.get("RAY_ADDRESS"), progress)
            return
        for cell in todo:
            run_cell(cell, conditions, settings.out, progress)
            progress.done(finished_line(cell, settings.out))


def finished_line(cell: Cell, out: Path) -> str:
    """One line about a finished cell."""
    outcome = read_outcome(cell, out)
    seconds = outcome.seconds["learning"] + outcome.seconds["evaluation"]
    return (
        f"{cell.agent}, seed {cell.seed}: {outcome.evaluation.mean('watch_time_s'):.1f} s a session ({seconds:.1f} s)"
    )
