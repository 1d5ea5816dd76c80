"""Registers every world with Gymnasium; called by `import recgym` through the entry-point group `recgym.plugins`."""

from __future__ import annotations

from gymnasium.envs.registration import register as gymnasium_register
from gymnasium.envs.registration import registry

from recgym_envs import WORLDS


def register() -> None:
    """Give all worlds their Gymnasium ids: a single and a vector view each. Nothing of a world is imported yet."""
    for world_id in WORLDS.names():
        if world_id not in registry:
            gymnasium_register(
                world_id,
                entry_point="recgym_envs.single_env:RecEnv",
                vector_entry_point="recgym_envs.vector_env:RecVectorEnv",
                kwargs={"world": world_id},
            )
