"""Registers every world with Gymnasium; called by `import recgym` through the entry-point group `recgym.plugins`."""

from __future__ import annotations

from gymnasium.envs.registration import register as gymnasium_register
from gymnasium.envs.registration import registry


def register() -> None:
    """Give all worlds their Gymnasium ids: a single and a vector view each. Nothing of a world is imported yet.

    Whichever of `recgym` and `recgym_envs` is imported first imports the other; the registry may not be there yet, and
    then `recgym_envs` calls again at its end.
    """
    import recgym_envs

    if not hasattr(recgym_envs, "WORLDS"):
        return
    for world_id in recgym_envs.WORLDS.names():
        if world_id not in registry:
            gymnasium_register(
                world_id,
                entry_point="recgym_envs.single_env:RecEnv",
                vector_entry_point="recgym_envs.vector_env:RecVectorEnv",
                kwargs={"world": world_id},
            )
