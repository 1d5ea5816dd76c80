"""The agents: one algorithm, one file; this module holds registry lines only and imports nothing heavy."""

from typing import Any

from recgym.registry import Registry

AGENTS: Registry[type[Any]] = Registry("agent", "recgym.agents")
"""Name -> agent class, see `recgym.policy.Agent`. To make one: `recgym_agents.construction.make_agent`."""

AGENTS.add("random", "recgym_agents.random_choice:RandomChoice")
AGENTS.add("popularity", "recgym_agents.popularity:Popularity")
AGENTS.add("oracle", "recgym_agents.oracle:Oracle")
AGENTS.add("logging", "recgym_agents.logging_policy:LoggingAgent")
AGENTS.add("behaviour_cloning", "recgym_agents.behaviour_cloning:BehaviourCloning")
AGENTS.add("watch_time_ranker", "recgym_agents.watch_time_ranker:WatchTimeRanker")
AGENTS.add("ppo", "recgym_agents.stable_baselines:PPO")
AGENTS.add("a2c", "recgym_agents.stable_baselines:A2C")
AGENTS.add("dqn", "recgym_agents.stable_baselines:DQN")
AGENTS.add("sac", "recgym_agents.stable_baselines:SAC")
AGENTS.add("td3", "recgym_agents.stable_baselines:TD3")


def make_agent(name: str, simulator: Any, **settings: Any) -> Any:
    """See `recgym_agents.construction.make_agent`."""
    from recgym_agents.construction import make_agent

    return make_agent(name, simulator, **settings)


def agent_settings(name: str) -> type:
    """See `recgym_agents.construction.agent_settings`."""
    from recgym_agents.construction import agent_settings

    return agent_settings(name)
