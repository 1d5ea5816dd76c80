"""Which constants make a random policy on the default world show the rates of KuaiRand's random log?

    recgym run calibrate_default

The default follows from published tables up to eight constants: three anchors of `kuaishou.BRIDGE` (one each
for clicks, long views and complete plays) and five log-odds of `kuaishou.EXPLICIT_SHIFT`. Each moves one rate almost
alone, so that a few rounds of "play whole random sessions, move each constant by its miss" settle them. The settled
numbers stand in `recgym/users/kuaishou.py`; a test holds the rates to the published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logit, ndtri

from recgym.simulator import Simulator
from recgym.storage import write_json
from recgym.users.calibrated import EXPLICIT, CalibratedUsers
from recgym.users.kuaishou import BRIDGE, EXPLICIT_SHIFT, RANDOM_RATE, default_parameters
from recgym.users.synthetic import synthetic_catalog, synthetic_population
from recgym_experiments.provenance import provenance

if TYPE_CHECKING:
    from rich.console import Console

_WATCHED = ("click", "long_view", "complete")


@dataclass(frozen=True)
class Settings:
    """How exactly to solve."""

    sessions: int = 100_000
    """Random sessions played in each round."""

    rounds: int = 6
    """How often the constants are moved."""

    out: Path = Path("runs/calibrate_default")
    """Folder for `constants.json`."""

    seed: int = 1_000_000
    """Seed of the first session; the others follow."""


def random_rates(simulator: Simulator, sessions: int, seed: int, batch: int = 20_000) -> dict[str, float]:
    """Rate per exposure of each feedback and of complete plays, over whole sessions of a uniformly random policy."""
    total = np.zeros(len(simulator.users.feedback) + 1)
    exposures = 0
    for first in range(0, sessions, batch):
        crowd = simulator.start(np.arange(seed + first, seed + min(first + batch, sessions)))
        here = np.ones(len(crowd), bool)
        while here.any():
            chance = crowd.noise().uniform("policy random")
            turn = simulator.step(crowd, (chance * len(simulator.catalog)).astype(np.int32))
            complete = turn.response.watch_time_s >= simulator.catalog.duration_s[turn.item]
            answers = np.concatenate([turn.response.feedback[:, 0], complete], axis=1)
            total += answers[here].sum(axis=0)
            exposures += int(here.sum())
            here &= ~(turn.terminated | turn.truncated)
    return dict(zip([*simulator.users.feedback, "complete"], (total / exposures).tolist(), strict=True))


def calibrate_default(settings: Settings, console: Console | None = None) -> Path:
    """Solve for the constants, print each round's rates over the published ones, write the constants as JSON."""
    anchors, shift = np.array(BRIDGE[1]), np.array(EXPLICIT_SHIFT)
    ratio: dict[str, float] = {}
    for number in range(settings.rounds):
        parameters = default_parameters((BRIDGE[0], tuple(anchors)), tuple(shift))
        simulator = Simulator(CalibratedUsers(synthetic_population(), parameters), synthetic_catalog())
        rate = random_rates(simulator, settings.sessions, settings.seed)
        ratio = {name: rate[name] / wanted for name, wanted in RANDOM_RATE.items()}
        if console is not None:
            console.print(f"round {number}: " + "  ".join(f"{name} {value:.3f}" for name, value in ratio.items()))
        anchors = anchors + np.array([ndtri(RANDOM_RATE[name]) - ndtri(rate[name]) for name in _WATCHED])
        shift = shift + np.array([logit(RANDOM_RATE[name]) - logit(rate[name]) for name in EXPLICIT])
    found: dict[str, Any] = {
        "BRIDGE": [list(BRIDGE[0]), anchors.tolist()], "EXPLICIT_SHIFT": shift.tolist(),
        "last_rate_over_published": ratio, "provenance": provenance(),
    }  # fmt: skip
    write_json(settings.out / "constants.json", found)
    return settings.out
