"""Experiments: one question, one file; and the `recgym` command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recgym.registry import Registry

if TYPE_CHECKING:
    from rich.console import Console


class Experiment(Protocol):
    """A function that answers one question; its module has a frozen dataclass `Settings` with defaults."""

    def __call__(self, settings: Any, console: Console | None = None) -> Path:
        """Run the experiment, or what is left of it, and return the folder of its results."""
        ...


EXPERIMENTS: Registry[Experiment] = Registry("experiment", "recgym.experiments")
"""All experiments by name; `recgym run NAME` runs one."""

EXPERIMENTS.add("online_comparison", "recgym_experiments.compare:online_comparison")
EXPERIMENTS.add("calibrate_default", "recgym_experiments.calibrate_default:calibrate_default")
EXPERIMENTS.add("feed_picture", "recgym_experiments.feed_picture:feed_picture")

__all__ = ["EXPERIMENTS", "Experiment"]
