"""What a policy is worth: every user of a fixed set plays one whole session; one number per user and metric is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recgym import metrics
from recgym.catalog import Catalog
from recgym.errors import BadData, WrongSetting, unknown_name
from recgym.interaction_log import InteractionLog
from recgym.policy import Policy
from recgym.rollout import rollout
from recgym.simulator import Simulator
from recgym.storage import read_arrays, read_json, write_arrays, write_json

FORMAT_VERSION = 1
"""Version of the files that `Evaluation.save` writes; later ones are refused."""

_NUMBERS, _ARRAYS = "evaluation.json", "evaluation.npz"
_PER_VISIT = ("cost_early_exit",)


def _nobody() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One policy on one set of U users. Two evaluations with the same `seed` and `user` are paired user by user.

    A session is the whole episode of a user (all its visits, where a world has several). NaN = this user has no such
    number. The metrics:

    - `watch_time_s`, `reward`, each feedback, `complete` (watched to the end), `cost_<name>`: sums over the session
    - `depth`: exposures of the session; `visits`: visits begun
    - `<feedback>_rate`, `complete_rate`, `cost_<name>_rate`, `watch_time_per_exposure_s`: the sum over `depth`;
      `cost_early_exit_rate`: the sum over `visits`, as `Objective.limits` counts it
    - `return_gap_days`: mean days until the user came back, of the visits that the user ended; NaN if there are none
    - `intra_list_diversity`, `novelty_bits` (only where a popularity was given): see `recgym.metrics`

    Reading a log and a table side by side, mind that the mean of the users' rates is not the rate of the log:
    the latter weighs users by their exposures, see `pooled_rate`.

    Args:
        name: of the policy, for tables.
        per_user: metric -> (U,) float64, row u is user u of the fixed set.
        catalogue: `coverage` (share of the items shown to anybody) and `gini_exposure` (0 = all items alike); both
            depend on how many users there are.
        seed: (U,) int64, the luck of each user.
        user: (U,) int64, the persons.
    """

    name: str
    per_user: Mapping[str, np.ndarray]
    catalogue: Mapping[str, float]
    seed: np.ndarray = field(default_factory=_nobody)
    user: np.ndarray = field(default_factory=_nobody)

    @property
    def n_users(self) -> int:
        """U, how many users there are."""
        return len(next(iter(self.per_user.values())))

    def values(self, metric: str) -> np.ndarray:
        """(U,) float64, one number per user; `UnknownName` lists the metrics there are."""
        if metric not in self.per_user:
            raise unknown_name("metric", metric, self.per_user)
        return self.per_user[metric]

    def mean(self, metric: str) -> float:
        """The mean over the users who have this number; NaN if nobody has."""
        values = self.values(metric)
        known = ~np.isnan(values)
        return float(values[known].mean()) if known.any() else float("nan")

    def pooled_rate(self, name: str) -> float:
        """Total over all users divided by all their exposures, which is what the rate of a log is.

        Args:
            name: a metric that is a sum: a feedback, `complete`, `watch_time_s`, `reward`, `cost_<name>`
                (`cost_early_exit`: divided by all visits).

        Raises:
            UnknownName: no such sum; the message lists what there is.
        """
        sums = [metric for metric in self.per_user if self._is_sum(metric)]
        if name not in sums:
            raise unknown_name("sum to pool", name, sums)
        return float(self.values(name).sum() / self.values("visits" if name in _PER_VISIT else "depth").sum())

    def minus(self, other: Evaluation, metric: str) -> np.ndarray:
        """(U,) float64: this policy's number minus the other's, user by user.

        Raises:
            WrongSetting: the two were not made with the same users and the same luck.
        """
        if not (np.array_equal(self.seed, other.seed) and np.array_equal(self.user, other.user)):
            raise WrongSetting(
                f"{self.name!r} and {other.name!r} played other users or with other luck and cannot be compared user "
                "by user; evaluate both with the same `seed` and `user`, in the same world."
            )
        return np.asarray(self.values(metric) - other.values(metric))

    def save(self, folder: Path) -> None:
        """Write two files into `folder`; the JSON goes first and comes last, so that where it is, all is."""
        (folder / _NUMBERS).unlink(missing_ok=True)
        names = list(self.per_user)
        arrays = {f"metric_{i}": np.asarray(self.per_user[name], np.float64) for i, name in enumerate(names)}
        write_arrays(folder / _ARRAYS, {"seed": self.seed, "user": self.user, **arrays})
        numbers = {name: value if np.isfinite(value) else None for name, value in self.catalogue.items()}
        write_json(
            folder / _NUMBERS, {"format": FORMAT_VERSION, "name": self.name, "metrics": names, "catalogue": numbers}
        )

    @classmethod
    def load(cls, folder: Path) -> Evaluation:
        """Read what `save` wrote; `BadData` names what is missing, broken or of a later version."""
        path = folder / _NUMBERS
        about = read_json(path)
        try:
            version, name, names = int(about["format"]), str(about["name"]), [str(part) for part in about["metrics"]]
            catalogue = {str(key): _number(value) for key, value in about["catalogue"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadData(f"{path}: not what Evaluation.save wrote ({error!r}).") from error
        if version > FORMAT_VERSION:
            raise BadData(f"{path}: format {version}; this RecGym reads up to {FORMAT_VERSION}. Update RecGym.")
        keys = [f"metric_{i}" for i in range(len(names))]
        arrays = read_arrays(folder / _ARRAYS, ["seed", "user", *keys])
        per_user = {metric: arrays[key] for metric, key in zip(names, keys, strict=True)}
        return cls(name, per_user, catalogue, arrays["seed"], arrays["user"])

    def _is_sum(self, metric: str) -> bool:
        return metric == "watch_time_s" or f"{metric}_rate" in self.per_user or metric == "reward"


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def evaluate(
    policy: Policy,
    simulator: Simulator,
    seed: np.ndarray,
    *,
    user: np.ndarray | None = None,
    name: str = "",
    batch: int = 1024,
    progress: Callable[[int], None] | None = None,
    popularity: np.ndarray | None = None,
) -> Evaluation:
    """Let every user of a fixed set play one whole session with `policy`.

    The users and their luck follow from `seed` and `user` alone, so every policy meets the same ones, and the
    numbers of two policies can be subtracted user by user. Nobody is left out: taking the first sessions to end
    would favour short ones.

    Args:
        policy: see `recgym.rollout.rollout`.
        simulator: the world.
        seed: (U,) whole numbers.
        user: (U,) persons of the user model; None draws each from its seed.
        name: of the policy, for tables; by default its class.
        batch: how many users are stepped at once; changes time and memory, not the numbers.
        progress: called with the number of users who have ended so far.
        popularity: (N,) numbers above 0, proportional to how often each item is seen elsewhere (in a log, by
            a uniform policy); with it, `novelty_bits` is measured.
    """
    if popularity is not None:
        popularity = metrics.checked_popularity(popularity, len(simulator.catalog))
    _refuse_clashes(simulator.users.feedback)
    log = rollout(policy, simulator, seed, user=user, batch=batch, progress=progress)
    return summarise(log, simulator.catalog, name or type(policy).__name__, popularity)


def summarise(log: InteractionLog, catalog: Catalog, name: str, popularity: np.ndarray | None = None) -> Evaluation:
    """The evaluation of sessions that were played already: a log as `rollout` makes it, episodes whole and in order.

    Args:
        log: with reward, terminated, truncated, seed and return_gap_days.
        catalog: the items of the log.
        name: of the policy.
        popularity: see `evaluate`; checked by the caller.

    Raises:
        BadData: a column is missing, or the last episode has no end.
    """
    start, _ = log.requests()
    exposures, owner, n_users = _owners(log, start)
    of_exposure = _exposure_sums(log, catalog, exposures, n_users)
    of_request = _request_sums(log, start, owner, n_users)
    depth = metrics.per_user_sum(np.ones(len(log)), exposures, n_users)
    visits = _visits(log.array("session")[start], owner, n_users)
    per_user = {"watch_time_s": of_exposure.pop("watch_time_s"), "depth": depth, "visits": visits}
    per_user |= {"reward": of_request.pop("reward"), **of_exposure, **of_request}
    per_user["watch_time_per_exposure_s"] = per_user["watch_time_s"] / depth
    for metric, total in (of_exposure | of_request).items():
        per_user[f"{metric}_rate"] = total / (visits if metric in _PER_VISIT else depth)
    per_user["return_gap_days"] = metrics.per_user_mean(log.array("return_gap_days")[start], owner, n_users)
    item = log.array("item")
    per_user["intra_list_diversity"] = metrics.intra_list_diversity(item, exposures, n_users, catalog.vector)
    if popularity is not None:
        per_user["novelty_bits"] = metrics.novelty_bits(item, exposures, n_users, popularity)
    shown = np.bincount(item, minlength=len(catalog))
    catalogue = {"coverage": metrics.coverage(shown), "gini_exposure": metrics.gini(shown)}
    first = np.flatnonzero(np.diff(exposures, prepend=-1))
    return Evaluation(name, per_user, catalogue, log.array("seed")[first], log.array("user")[first])


def _owners(log: InteractionLog, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Which episode each exposure (rows,) and each request (requests,) belongs to, and how many there are."""
    ends = (log.array("terminated") | log.array("truncated"))[start]
    if not len(ends) or not ends[-1]:
        raise BadData("the log ends in the middle of an episode; sessions are measured whole. See recgym.rollout.")
    owner = np.cumsum(ends) - ends
    return np.repeat(owner, np.diff(start, append=len(log))), owner, int(ends.sum())


def _exposure_sums(log: InteractionLog, catalog: Catalog, owner: np.ndarray, n_users: int) -> dict[str, np.ndarray]:
    watch = log.array("watch_time_s")
    signals = {"watch_time_s": watch, **{name: log.array(name) for name in log.feedback}}
    signals["complete"] = watch >= catalog.duration_s[log.array("item")]
    return {name: metrics.per_user_sum(signal, owner, n_users) for name, signal in signals.items()}


def _request_sums(log: InteractionLog, start: np.ndarray, owner: np.ndarray, n_users: int) -> dict[str, np.ndarray]:
    names = ["reward", *(name for name in log.table.columns if name.startswith("cost_"))]
    return {name: metrics.per_user_sum(log.array(name)[start], owner, n_users) for name in names}


def _visits(session: np.ndarray, owner: np.ndarray, n_users: int) -> np.ndarray:
    begins = np.diff(session, prepend=-2) != 0
    return metrics.per_user_sum(begins, owner, n_users)


def _refuse_clashes(feedback: tuple[str, ...]) -> None:
    """A feedback whose name (or whose rate's name) is that of another metric would overwrite it."""
    taken = {"watch_time_s", "depth", "visits", "reward", "complete", "complete_rate", "return_gap_days",
             "intra_list_diversity", "novelty_bits", "watch_time_per_exposure_s"}  # fmt: skip
    for name in feedback:
        if name in taken or name.endswith("_rate"):
            raise WrongSetting(
                f"the user model calls a feedback {name!r}, which is (or looks like) the name of a metric. "
                f"Rename the feedback; taken are {', '.join(sorted(taken))} and names that end in '_rate'."
            )
