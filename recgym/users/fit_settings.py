"""How users are fitted to a log: the settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recgym.errors import WrongSetting


@dataclass(frozen=True)
class FitSettings:
    """How to fit users to a log."""

    buckets: int = 26
    """About how many duration buckets have a watch table of their own."""

    min_bucket_rows: int = 400
    """Rows that a bucket needs; smaller ones are joined to a neighbour."""

    score_columns: int = 257
    """Columns of the watch table, evenly spaced between scores -5 and 5."""

    boredom: float | None = None
    """Loss of score when the last 10 items all carried the item's main tag; None = that of the default users. It is
    not estimated: logs of a selected pool of items have holes where the repeats would be seen."""

    fatigue: float | None = None
    """Loss of score over 50 exposures of a visit; None = that of the default users. Not estimated, as `boredom`."""

    repeat: float | None = None
    """Loss of score when the item itself is among the last 20; None = that of the default users. Not estimated."""

    drift: float | None = None
    """Share of the taste that moves towards an item watched to its end; None = that of the default users."""

    taste: float | None = None
    """Standard deviation of taste times content in the score; None = estimated. Content codes that say little of what
    the platform's own model knows of an item make the estimate small, and then all policies are alike but for the
    quality of items: set 0.3 or so to play with personal taste."""

    sweeps: int = 160
    """Draws from the posterior of the watch model."""

    burn_in: int = 60
    """Draws of the watch model that are thrown away."""

    feedback_sweeps: int = 75
    """Draws from the posterior of each explicit feedback's model; the first third is thrown away."""

    rounds: int = 4
    """How often the log is replayed to set the watch table and the intercepts."""

    replays: int = 4
    """Replays per round."""

    seed: int = 0
    """All chance of the fit: same log, settings and seed, same world."""

    def __post_init__(self) -> None:
        least = {"buckets": 1, "min_bucket_rows": 20, "score_columns": 32, "feedback_sweeps": 3, "rounds": 1,
                 "replays": 1, "burn_in": 0, "sweeps": self.burn_in + 2}  # fmt: skip
        for name, low in least.items():
            if getattr(self, name) < low:
                raise WrongSetting(f"FitSettings.{name} is {getattr(self, name)}; at least {low} is needed.")
        for name in ("boredom", "fatigue", "repeat", "drift", "taste"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise WrongSetting(f"FitSettings.{name} is {value}; a number that is not negative, or None, is needed.")
        if self.drift is not None and self.drift > 1:
            raise WrongSetting(f"FitSettings.drift is {self.drift}; it is a share, at most 1.")
