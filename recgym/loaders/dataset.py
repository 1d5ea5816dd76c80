"""What every loader gives: a catalogue, an interaction log, and what is known of the users."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from recgym.catalog import Catalog
from recgym.interaction_log import InteractionLog


class Dataset(NamedTuple):
    """A logged data set in RecGym's terms; P profile columns.

    catalog: what was shown. Its `appeal` is zero: a user model that is fitted to the log fills it.
    log: who saw what and how they answered; `item` and `user` are rows of `catalog` and `profile`.
    profile: (n_users, P) float32, what the platform knows of each user.
    profile_names: the P names of those columns.
    user_outside_id: (n_users,) int64, the ids of the data set the users come from.
    notes: one sentence for each quirk of the data that was dealt with, with counts.
    """

    catalog: Catalog
    log: InteractionLog
    profile: np.ndarray
    profile_names: tuple[str, ...]
    user_outside_id: np.ndarray
    notes: tuple[str, ...]


class Loader(Protocol):
    """A function that reads one kind of data set; its module has a frozen dataclass `Settings`."""

    def __call__(self, folder: Path, settings: Any = None) -> Dataset:
        """Read the data set in `folder`; `settings` None means the defaults of the loader."""
        ...
