"""What can be shown: the videos, what a platform knows of them, and what only the users perceive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from recgym.errors import BadData, WrongShape
from recgym.storage import read_arrays, write_arrays

APPEAL = ("watch", "like", "follow", "comment", "forward", "hate")
"""Columns of `Catalog.appeal`: how much an item invites watching and each explicit feedback."""


@dataclass(frozen=True, eq=False)
class Catalog:
    """N videos. Arrays share axis 0; an item's row number is its id everywhere in RecGym.

    Args:
        vector: (N, d) float32, what the platform knows of the content; the `query` action is a dot product with it.
        duration_s: (N,) float32, seconds, finite and above 0.
        tags: (N, t) int16, tag numbers from 0, padded with -1; column 0 is the main tag (-1 = none).
        outside_id: (N,) int64, the ids of the data set the items come from.
        appeal_vector: (N, c) float32, the content as the users perceive it. Hidden from agents.
        appeal: (N, 6) float32, see `APPEAL`; latent standard-normal-like scores. Hidden from agents.
        available_h: (N, 2) float32, hours since the world began at which an item appears and disappears.

    Raises:
        WrongShape: arrays that do not belong together.
        BadData: a duration that is not a positive number; names the first such item.
    """

    vector: np.ndarray
    duration_s: np.ndarray
    tags: np.ndarray
    outside_id: np.ndarray
    appeal_vector: np.ndarray
    appeal: np.ndarray
    available_h: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))

    def __post_init__(self) -> None:
        n, d = self.vector.shape if self.vector.ndim == 2 else (-1, -1)
        if not len(self.available_h):
            window = np.broadcast_to(np.array([-np.inf, np.inf], np.float32), (max(n, 0), 2))
            object.__setattr__(self, "available_h", window)
        expected = {
            "vector": (n, d), "duration_s": (n,), "tags": (n, self.tags.shape[-1]), "outside_id": (n,),
            "appeal_vector": (n, self.appeal_vector.shape[-1]), "appeal": (n, len(APPEAL)), "available_h": (n, 2),
        }  # fmt: skip
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise WrongShape(f"Catalog.{name} has shape {getattr(self, name).shape}; {shape} was expected.")
        if n < 1:
            raise WrongShape("a Catalog needs at least one item.")
        for name in ("vector", "appeal_vector", "appeal"):
            fine = np.isfinite(getattr(self, name)).all(axis=1)
            if not fine.all():
                raise BadData(f"item {int(fine.argmin())}: Catalog.{name} holds NaN or infinity; numbers are needed.")
        bad = np.flatnonzero(~(np.isfinite(self.duration_s) & (self.duration_s > 0)))
        if len(bad):
            raise BadData(
                f"item {bad[0]} (outside id {self.outside_id[bad[0]]}) has duration_s {self.duration_s[bad[0]]}; "
                f"durations are positive seconds. {len(bad)} of {n} items are affected: drop or impute them."
            )

    def __len__(self) -> int:
        return len(self.duration_s)

    @cached_property
    def tag(self) -> np.ndarray:
        """(N,) int16, the main tag of each item; -1 = none."""
        return np.ascontiguousarray(self.tags[:, 0])

    @cached_property
    def log_duration(self) -> np.ndarray:
        """(N,) float32: log(1 + duration_s) / 5, as observations show it."""
        return np.asarray(np.log1p(self.duration_s) * np.float32(0.2), np.float32)

    @cached_property
    def vector_columns(self) -> np.ndarray:
        """(d, N) float32, contiguous: `vector` transposed, for `recgym.ranking`."""
        return np.ascontiguousarray(self.vector.T)

    @property
    def n_tags(self) -> int:
        """Number of distinct tag numbers, counted as the largest plus one."""
        return int(self.tags.max()) + 1

    def save(self, path: Path) -> None:
        """Write all arrays to one file (NumPy's npz, no pickles)."""
        write_arrays(path, {f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Catalog:
        """Read what `save` wrote; `BadData` if the file is something else."""
        arrays: Mapping[str, np.ndarray] = read_arrays(path, [f.name for f in fields(cls)])
        return cls(**arrays)
