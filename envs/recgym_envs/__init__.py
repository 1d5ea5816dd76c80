"""The Gymnasium side of RecGym: one registry line per world, one view for a single user, one for many."""

from recgym.registry import Registry
from recgym_envs.registration import register

WORLDS: Registry[object] = Registry("world", "recgym.worlds")
"""Gymnasium id -> `recgym_envs.worlds.World`."""

WORLDS.add("recgym/ShortVideo-v0", "recgym_envs.short_video:WORLD")
WORLDS.add("recgym/SlateFeed-v0", "recgym_envs.slate_feed:WORLD")
WORLDS.add("recgym/TwoItem-v0", "recgym_envs.two_item:WORLD")

register()
