"""Every registered agent keeps the rules: one item, slates, candidates, and the world with two videos."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from recgym.candidates import SampledCandidates
from recgym.errors import WrongSetting
from recgym.session import FixedLength
from recgym.simulator import Simulator
from recgym.testing import check_agent
from recgym.users.defaults import calibrated_users
from recgym.users.synthetic import synthetic_catalog

pytest.importorskip("torch", reason="the agents need the extra 'train'")
pytest.importorskip("safetensors", reason="the agents need the extra 'train'")

# isort: split
from recgym_agents import AGENTS
from recgym_envs.worlds import make_simulator

QUICK: dict[str, Any] = {
    "steps": 128, "n_users": 8, "rollout_steps": 8, "epochs": 2, "hidden": (8,), "dimension": 4, "learning_starts": 64,
    "buffer": 256, "batch": 16, "layers": 1, "heads": 1, "updates": 20, "gradient_steps": 1,
}  # fmt: skip
"""Small values of settings that many agents have; only those that an agent knows are used."""


def world(kind: str) -> Simulator:
    if kind == "two videos":
        return make_simulator("recgym/TwoItem-v0")
    users, catalog = calibrated_users(200), synthetic_catalog(12)
    settings: dict[str, dict[str, Any]] = {
        "one item": {}, "slates": {"slate_size": 3}, "every item shown": {"slate_size": 12},
        "candidates": {"slate_size": 2, "candidates": SampledCandidates(6)},
    }  # fmt: skip
    return Simulator(users, catalog, session=FixedLength(8), **settings[kind])


def quick(kind: type[Any]) -> Any:
    known = {field.name for field in fields(kind.Settings)}
    return kind.Settings(**{name: value for name, value in QUICK.items() if name in known})


@pytest.mark.parametrize("name", AGENTS.names())
@pytest.mark.parametrize("kind", ["one item", "slates", "candidates", "two videos", "every item shown"])
def test_agent_keeps_the_rules(name: str, kind: str):
    agent_class, simulator = AGENTS.get(name), world(kind)
    settings = quick(agent_class)
    if kind != "one item":
        try:
            agent_class(settings, simulator)
        except WrongSetting as refusal:
            pytest.skip(f"refused: {refusal}")
    check_agent(agent_class, simulator, settings=settings, n=12, steps=4)


def test_settings_that_are_made_small_exist_somewhere():
    known = {field.name for name in AGENTS.names() for field in fields(AGENTS.get(name).Settings)}
    assert {"steps", "epochs", "hidden", "batch"} <= known
