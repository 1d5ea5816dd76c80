"""What an agent reports while it learns: kept as short curves, and written to TensorBoard event files."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

POINTS = 200
"""Most points of a curve in the results; more are thinned evenly, ends kept."""

LEARNING = ("rollout/watch_time_s", "rollout/reward_mean", "valid/loss", "train/loss")
"""The curve shown as an agent's learning curve: the first of these that it reports, otherwise the first of all."""


class EventWriter(Protocol):
    """The part of a TensorBoard writer that is used here."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Write one number."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class Curves:
    """Scalars by name, each a list of (steps learned so far, value); also written to TensorBoard where it is installed.

    Args:
        folder: for the event files; what an earlier, unfinished run left there is removed. None = keep no files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.points: dict[str, list[tuple[int, float]]] = {}
        self.steps = 0
        self._writer = event_writer(folder) if folder else None

    def add(self, steps: int, scalars: Mapping[str, float]) -> None:
        """Note scalars after `steps` steps; names without a group belong to `train/`. NaN and infinity are left out."""
        self.steps = max(self.steps, int(steps))
        for name, value in scalars.items():
            if math.isfinite(value):
                name = name if "/" in name else f"train/{name}"
                self.points.setdefault(name, []).append((int(steps), float(value)))
                if self._writer:
                    self._writer.add_scalar(name, float(value), int(steps))

    def close(self) -> None:
        """Write the event files to their end."""
        if self._writer:
            self._writer.close()

    def learning(self) -> dict[str, Any] | None:
        """The learning curve as JSON: `metric`, `steps`, `value`; None if nothing was reported."""
        names = [name for name in LEARNING if name in self.points] or sorted(
            name for name in self.points if not name.startswith("evaluation/")
        )
        if not names:
            return None
        points = thinned(self.points[names[0]])
        return {"metric": names[0], "steps": [step for step, _ in points], "value": [value for _, value in points]}


def thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most `POINTS` of the points, evenly spaced, the first and the last among them."""
    if len(points) <= POINTS:
        return points
    last = len(points) - 1
    return [points[round(i * last / (POINTS - 1))] for i in range(POINTS)]


def event_writer(folder: Path) -> EventWriter | None:
    """A writer of TensorBoard event files in the emptied `folder`; None where no package for it is installed."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        try:
            from torch.utils.tensorboard import SummaryWriter  # type: ignore[assignment,unused-ignore]
        except ImportError:
            return None
    writer: EventWriter = SummaryWriter(str(folder))
    return writer
