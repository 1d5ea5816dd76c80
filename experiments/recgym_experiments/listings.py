"""`recgym worlds` and `recgym agents`: what there is."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import tyro
from rich.markup import escape
from rich.table import Table

from recgym.errors import RecGymError
from recgym_experiments.flags import parsed
from recgym_experiments.screen import screen


@dataclass(frozen=True)
class WorldsSettings:
    """Nothing to set."""


@dataclass(frozen=True)
class AgentsSettings:
    """Which agents to list."""

    name: tyro.conf.Positional[str | None] = None
    """Name of an agent: lists its settings; None lists all agents."""


def worlds(words: Sequence[str]) -> None:
    """Print one row for each world."""
    parsed(WorldsSettings, words, "worlds")
    from recgym_envs import WORLDS

    table = Table(title="Worlds", header_style="bold", title_justify="left")
    table.add_column("World", style="cyan", no_wrap=True)
    for title in ("What it is", "Actions", "Observation"):
        table.add_column(title)
    for name in WORLDS.names():
        table.add_row(name, *_world_row(name, WORLDS.get(name)))
    console = screen()
    console.print(table)
    console.print('[dim]gymnasium.make("recgym:recgym/ShortVideo-v0") makes one; action="query" or "weights" choose '
                  'by vectors.[/dim]', highlight=False)  # fmt: skip


def agents(words: Sequence[str]) -> None:
    """Print one row for each agent, or the settings of one."""
    settings = parsed(AgentsSettings, words, "agents")
    from recgym_agents import AGENTS

    if settings.name is not None:
        screen().print(settings_table(settings.name, AGENTS.get(settings.name)))
        return
    table = Table(title="Agents", header_style="bold", title_justify="left")
    table.add_column("Agent", style="cyan", no_wrap=True)
    table.add_column("Learns from", no_wrap=True)
    table.add_column("What it does")
    for name in AGENTS.names():
        table.add_row(name, *_agent_row(name))
    console = screen()
    console.print(table)
    console.print("[dim]recgym agents NAME lists the settings of one; change them with --set NAME.SETTING=VALUE.[/dim]",
                  highlight=False)  # fmt: skip


def settings_table(name: str, kind: Any) -> Table:
    """All settings of an agent: name, default, meaning."""
    table = Table(title=f"{name}: {first_line(kind)}", header_style="bold", title_justify="left")
    table.add_column("Setting", style="cyan", no_wrap=True)
    table.add_column("Default", no_wrap=True)
    table.add_column("What it is")
    explained = field_docs(kind.Settings)
    defaults = kind.Settings()
    for f in fields(kind.Settings):
        table.add_row(f"{name}.{f.name}", escape(str(getattr(defaults, f.name))), escape(explained.get(f.name, "")))
    return table


def field_docs(kind: type) -> dict[str, str]:
    """Field -> the text that stands under it in the class, or in the class that it inherits it from."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if is_dataclass(owner):
            body = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]).body
            for line, text in pairwise(body):
                if (
                    isinstance(line, ast.AnnAssign)
                    and isinstance(text, ast.Expr)
                    and isinstance(text.value, ast.Constant)
                ):
                    found[ast.unparse(line.target)] = " ".join(str(text.value.value).split())
    return found


def first_line(kind: Any) -> str:
    """The first line of a class's documentation."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _world_row(name: str, world: Any) -> tuple[str, str, str]:
    """Summary, actions and observation of a world."""
    from recgym_envs.worlds import make_simulator

    simulator = make_simulator(name)
    width = simulator.flat(simulator.start(np.zeros(1, np.int64))).shape[1]
    each = f"{simulator.n_actions:,} items" + (f", {simulator.slate_size} a step" if simulator.slate_size > 1 else "")
    return escape(world.summary), each, f"{width} numbers"


def _agent_row(name: str) -> tuple[str, str]:
    """What an agent learns from and does; what is missing where it cannot be imported."""
    from recgym_agents import AGENTS

    try:
        kind = AGENTS.get(name)
    except (ImportError, RecGymError) as error:
        return "-", f"[yellow]not available: {escape(str(error))}[/yellow]"
    return kind.learns_from, escape(first_line(kind))
