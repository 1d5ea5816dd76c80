"""Every registered agent: the conformance kit, fresh refits, refusals, and slates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the agents need the extra 'train'")

# isort: split
from test_agents_tiny_world import candidate_world, log_of, slate_world, tiny_world

from recgym.errors import BadData, UnknownName, WrongSetting
from recgym.interaction_log import InteractionLog
from recgym.policy import PrivilegedPolicy
from recgym.simulator import Simulator
from recgym.storage import read_json, write_json
from recgym.testing import check_agent
from recgym_agents import AGENTS, agent_settings, make_agent
from recgym_agents.construction import load_agent

SMALL: dict[str, dict[str, Any]] = {
    "behaviour_cloning": {"hidden": (8,), "dimension": 4, "epochs": 2},
    "watch_time_ranker": {"hidden": (8,), "dimension": 4, "epochs": 2},
    "ppo": {"steps": 128, "n_users": 8, "rollout_steps": 8, "hidden": (8,), "epochs": 2},
    "a2c": {"steps": 128, "n_users": 8, "hidden": (8,)},
    "dqn": {"steps": 128, "n_users": 8, "hidden": (8,), "learning_starts": 32, "buffer": 200, "batch": 16},
    "sac": {"steps": 96, "n_users": 8, "hidden": (8,), "learning_starts": 64, "buffer": 200, "batch": 16},
    "td3": {"steps": 96, "n_users": 8, "hidden": (8,), "learning_starts": 64, "buffer": 200, "batch": 16},
}
LOGGERS = ("popularity", "behaviour_cloning", "watch_time_ranker")
ON_SLATES = [name for name in AGENTS.names() if name != "dqn"]


def small(name: str, world: Simulator, **more: Any) -> Any:
    return make_agent(name, world, **(SMALL.get(name, {}) | more))


def log_for(name: str, world: Simulator) -> InteractionLog | None:
    return log_of(make_agent("random", world).policy, world, 60) if name in LOGGERS else None


def choices(agent: Any, world: Simulator, n: int = 20, steps: int = 3) -> np.ndarray:
    crowd = world.start(np.arange(n))
    shown = []
    for _ in range(steps):
        if isinstance(agent.policy, PrivilegedPolicy):
            agent.policy.look(world, crowd)
        choice = agent.policy.act(world.observe(crowd), agent.policy.start(n), crowd.noise())
        shown.append(np.column_stack([choice.item, choice.log_prob]))
        world.step(crowd, choice.item)
    return np.stack(shown)


@pytest.mark.parametrize("name", AGENTS.names())
def test_agent_keeps_the_rules(name: str) -> None:
    kind = AGENTS.get(name)
    check_agent(kind, tiny_world(), settings=kind.Settings(**SMALL.get(name, {})))


@pytest.mark.parametrize("name", ["ppo", "a2c", "dqn", "sac", "td3", "watch_time_ranker"])
def test_exploring_agent_keeps_the_rules(name: str) -> None:
    kind = AGENTS.get(name)
    explore = {"epsilon": 0.3} if name == "watch_time_ranker" else {"stochastic": True}
    check_agent(kind, tiny_world(), settings=kind.Settings(**SMALL[name], **explore))


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_item_agent_keeps_the_rules(name: str) -> None:
    kind = AGENTS.get(name)
    check_agent(kind, candidate_world(), settings=kind.Settings(**SMALL[name], action="item", stochastic=True))


@pytest.mark.parametrize("name", ["ppo", "a2c", "sac", "td3"])
def test_weighing_agent_keeps_the_rules(name: str) -> None:
    kind = AGENTS.get(name)
    check_agent(kind, candidate_world(), settings=kind.Settings(**SMALL[name], action="weights"), steps=3)


@pytest.mark.parametrize("name", ON_SLATES)
def test_agent_keeps_the_rules_on_slates(name: str) -> None:
    kind = AGENTS.get(name)
    check_agent(kind, slate_world(), settings=kind.Settings(**SMALL.get(name, {})), steps=3)


@pytest.mark.parametrize("name", AGENTS.names())
def test_agent_keeps_the_rules_among_candidates(name: str) -> None:
    kind = AGENTS.get(name)
    check_agent(kind, candidate_world(), settings=kind.Settings(**SMALL.get(name, {})), steps=3)


@pytest.mark.parametrize("name", AGENTS.names())
def test_refit_is_a_fresh_fit(name: str) -> None:
    world = tiny_world()
    log = log_for(name, world)
    once, twice = small(name, world), small(name, world)
    once.learn(log, 7)
    twice.learn(log, 3)
    twice.learn(log, 7)
    np.testing.assert_array_equal(choices(once, world), choices(twice, world))


@pytest.mark.parametrize("name", [name for name in SMALL if name != "dqn"])
def test_another_seed_gives_another_policy(name: str, tmp_path: Path) -> None:
    world = tiny_world()
    log = log_for(name, world)
    weights = []
    for seed in (1, 2):
        agent = small(name, world)
        agent.learn(log, seed)
        agent.save(tmp_path / str(seed))
        weights.append((tmp_path / str(seed) / "weights.safetensors").read_bytes())
    assert weights[0] != weights[1]


@pytest.mark.parametrize("name", LOGGERS)
def test_a_log_agent_needs_rows(name: str) -> None:
    world = tiny_world()
    agent = small(name, world)
    with pytest.raises(WrongSetting, match=f"{name} learns from a log and none was given"):
        agent.learn(None, 0)
    log = log_for(name, world)
    assert log is not None
    with pytest.raises(WrongSetting, match="no rows"):
        agent.learn(log.where(np.zeros(len(log), bool)), 0)
    with pytest.raises(BadData, match=r"item 1[01]; this world's catalogue has items 0..5"):
        small(name, tiny_world(n_items=6)).learn(log, 0)


@pytest.mark.parametrize("name", ["behaviour_cloning", "watch_time_ranker"])
def test_a_network_needs_observations(name: str) -> None:
    world = tiny_world()
    log = log_for(name, world)
    assert log is not None
    without = InteractionLog(log.table.drop("observation", "extra_final_observation"), log.feedback)
    with pytest.raises(WrongSetting, match=r"needs the column 'observation'.*observations=True"):
        small(name, world).learn(without, 0)
    narrow = log.table["observation"].arr.to_list().list.head(5)
    with pytest.raises(WrongSetting, match="have 5 columns"):
        small(name, world).learn(InteractionLog(without.table.with_columns(observation=narrow), log.feedback), 0)


@pytest.mark.parametrize("name", AGENTS.names())
def test_settings_are_refused_with_a_suggestion(name: str) -> None:
    with pytest.raises(UnknownName, match=f"no setting of {name} called 'stpes'"):
        make_agent(name, tiny_world(), stpes=3)


def test_names_are_suggested() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'popularity'"):
        make_agent("popularty", tiny_world())
    with pytest.raises(UnknownName, match="Did you mean 'learning_rate'"):
        make_agent("ppo", tiny_world(), learning_rat=1e-3)
    assert agent_settings("ppo")().action == "query"


@pytest.mark.parametrize("name", AGENTS.names())
def test_any_folder_loads_by_its_own_name(name: str, tmp_path: Path) -> None:
    world = tiny_world()
    agent = small(name, world)
    agent.save(tmp_path)
    loaded = load_agent(tmp_path, world)
    assert type(loaded) is type(agent)
    np.testing.assert_array_equal(choices(agent, world), choices(loaded, world))


@pytest.mark.parametrize("name", ["popularity", "behaviour_cloning", "watch_time_ranker", "ppo", "dqn"])
def test_loading_into_another_world_is_refused(name: str, tmp_path: Path) -> None:
    small(name, tiny_world()).save(tmp_path)
    with pytest.raises(WrongSetting, match="world with catalogue size 12, but this one has 6"):
        AGENTS.get(name).load(tmp_path, tiny_world(n_items=6))


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    world = tiny_world()
    ppo, cloning = AGENTS.get("ppo"), AGENTS.get("behaviour_cloning")
    with pytest.raises(BadData, match=r"agent\.json: no such file"):
        ppo.load(tmp_path, world)
    small("behaviour_cloning", world).save(tmp_path)
    with pytest.raises(BadData, match="holds an agent called 'behaviour_cloning', not 'ppo'"):
        ppo.load(tmp_path, world)
    header, weights = tmp_path / "agent.json", tmp_path / "weights.safetensors"
    content, whole = read_json(header), weights.read_bytes()
    write_json(header, content | {"settings": {"hiden": [8]}})
    with pytest.raises(UnknownName, match="Did you mean 'hidden'"):
        cloning.load(tmp_path, world)
    write_json(header, content | {"settings": content["settings"] | {"dimension": 5}})
    with pytest.raises(BadData, match=r"has shape .* is needed"):
        cloning.load(tmp_path, world)
    write_json(header, content | {"format": 99})
    with pytest.raises(BadData, match="format version 99"):
        cloning.load(tmp_path, world)
    write_json(header, ["something else"])
    with pytest.raises(BadData, match="not a file that an agent's save wrote"):
        cloning.load(tmp_path, world)
    write_json(header, content)
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="not a safetensors file"):
        cloning.load(tmp_path, world)
    weights.unlink()
    with pytest.raises(BadData, match="no such file"):
        cloning.load(tmp_path, world)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        (
            "ppo",
            {"action": "wheights"},
            "cannot put out the action 'wheights'; it can put out query or weights or item",
        ),
        ("dqn", {"action": "query"}, "dqn cannot put out the action 'query'; it can put out item"),
        ("sac", {"action": "item"}, "sac cannot put out the action 'item'"),
        ("ppo", {"steps": 0}, "ppo: steps is 0"),
        ("ppo", {"gamma": 1.5}, r"gamma is 1.5; it must lie in \[0, 1\]"),
        ("td3", {"hidden": (0,)}, "widths of layers"),
        ("logging", {"epsilon": -0.1}, "epsilon is -0.1"),
        ("logging", {"beta": float("nan")}, "beta is nan"),
        ("popularity", {"smoothing": -1.0}, "smoothing is -1.0"),
        ("watch_time_ranker", {"transform": "log"}, "Did you mean 'log1p'"),
        ("behaviour_cloning", {"temperature": 0.0}, "temperature is 0.0"),
        ("oracle", {"pairs_at_once": 0}, "pairs_at_once is 0"),
    ],
)
def test_wrong_settings_are_explained(name: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((WrongSetting, UnknownName), match=message):
        make_agent(name, tiny_world(), **wrong)


def test_looking_at_the_registry_imports_no_torch() -> None:
    code = "import sys, recgym_agents as a; a.AGENTS.names(); a.AGENTS.get('random'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"
