"""What does a session look like? The picture at the head of the README.

    recgym run feed_picture

One user of the default world served by the oracle, step by step; then one request of six videos at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from PIL import Image

from recgym.storage import whole_file

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Settings:
    """Whom to show."""

    seed: int = 60
    """Seed of the session."""

    steps: int = 4
    """Steps of the session that are shown."""

    out: Path = Path("experiments/results")
    """Folder for `feed.png`."""


def feed_picture(settings: Settings, console: Console | None = None) -> Path:
    """Draw the picture; returns its folder."""
    env: Any = gym.make("recgym/ShortVideo-v0", render_mode="rgb_array").unwrapped
    env.reset(seed=settings.seed)
    frames = []
    for _ in range(settings.steps):
        users, catalog = env.simulator.users, env.simulator.catalog
        item = int(users.expect_watch_time_s(env._crowd.state, catalog)[0].argmax())
        ended = env.step(item)[2]
        frames.append(env.render())
        if ended:
            break
    slate: Any = gym.make("recgym/SlateFeed-v0", render_mode="rgb_array")
    slate.reset(seed=settings.seed)
    slate.action_space.seed(settings.seed)
    slate.step(slate.action_space.sample())
    picture = np.concatenate([*frames, slate.render()], axis=1)
    with whole_file(settings.out / "feed.png") as partial:
        Image.fromarray(picture).save(partial, format="PNG", optimize=True)
    return settings.out
