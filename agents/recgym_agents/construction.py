"""Agents by name: made from settings, or read from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from recgym.policy import Agent
from recgym.simulator import Simulator
from recgym_agents import AGENTS
from recgym_agents.checkpoint import agent_name, settings_from


def agent_settings(name: str) -> type:
    """The frozen dataclass of all settings of the agent called `name`."""
    return cast(type, AGENTS.get(name).Settings)


def make_agent(name: str, simulator: Simulator, **settings: Any) -> Agent:
    """The agent called `name`, ready to learn in (or from logs of) `simulator`.

    Raises:
        UnknownName: no such agent, or no such setting; the message suggests the nearest.
        WrongSetting: a setting outside what is allowed, or a world that this agent cannot act in.
    """
    kind = AGENTS.get(name)
    return cast(Agent, kind(settings_from(kind.Settings, settings, name), simulator))


def load_agent(folder: Path, simulator: Simulator) -> Agent:
    """The agent that was saved in `folder`, whichever it is; nothing is unpickled.

    Raises:
        UnknownName: the agent's package is not installed.
        BadData, WrongSetting: see `recgym_agents.checkpoint.load_checkpoint`.
    """
    return cast(Agent, AGENTS.get(agent_name(folder)).load(Path(folder), simulator))
