"""A world fitted to a log: people, catalogue, what is known of them, and the folder that keeps it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from recgym.catalog import APPEAL, Catalog
from recgym.errors import BadData, RecGymError
from recgym.interaction_log import InteractionLog
from recgym.loaders.dataset import Dataset
from recgym.storage import read_arrays, read_json, write_arrays, write_json
from recgym.users.calibrated import TRAITS, CalibratedUsers, Population

FORMAT_VERSION: Final = 1
"""Version of the folder's format; a folder with a larger one was written by a newer RecGym and is refused."""

_SIDE = 0.35
"""Weight of the two last coordinates of a fitted `Catalog.vector`, beside a content of length 1."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the rows told of each person and item, in units of the score (column 0) and of log-odds (1 to 5).

    The people and items of a fitted world are one draw from this; probabilities of single rows have to be averaged over
    it (`recgym.users.prediction`). U people, S of them with rows, N items, d coordinates, P profile columns.

    user_mean: (U, 1 + d) own level (fatigue and boredom apart) and taste. seen: (S,) people with rows.
    user_covariance: (S, (1 + d)(2 + d) / 2) lower triangles, row by row; all others have `prior_sd`'s variances.
    logit_mean, logit_variance: (U, 5) the person's part of the log-odds of each explicit feedback.
    item_mean, item_variance: (N, 6).
    coefficient: (1 + P, 6) of a one and the standardised profile; profile_mean, profile_sd: (P,).
    prior_sd: (13,) of people (6), of items (6), and of taste . vector for a vector of length sqrt(d).
    """

    user_mean: np.ndarray
    seen: np.ndarray
    user_covariance: np.ndarray
    logit_mean: np.ndarray
    logit_variance: np.ndarray
    item_mean: np.ndarray
    item_variance: np.ndarray
    coefficient: np.ndarray
    profile_mean: np.ndarray
    profile_sd: np.ndarray
    prior_sd: np.ndarray

    @property
    def taste_sd(self) -> float:
        """Prior standard deviation of taste . vector."""
        return float(self.prior_sd[12])

    def expected(self, profile: np.ndarray) -> np.ndarray:
        """(n, 6) what a profile (n, P) alone tells of a person: score level and explicit log-odds."""
        standard = (profile - self.profile_mean) / self.profile_sd
        return np.asarray(np.column_stack([np.ones(len(profile)), standard]) @ self.coefficient)


@dataclass(frozen=True, eq=False)
class FittedWorld:
    """A world fitted to a log.

    users: the people, drawn once from the posterior, so that they differ as much as the log says people do.
    catalog: the log's items with their appeals, drawn likewise.
    posterior: what is known and how well.
    facts: plain numbers and texts: settings, data, estimates, versions. notes: sentences about the data and the fit.
    """

    users: CalibratedUsers
    catalog: Catalog
    posterior: Posterior
    facts: Mapping[str, Any]
    notes: tuple[str, ...]


def save_fitted(world: FittedWorld, folder: Path) -> None:
    """Write a world into `folder`: population.npz, parameters.npz, catalog.npz, fitted_posterior.npz, fitted.json."""
    folder = Path(folder)
    world.users.save(folder)
    world.catalog.save(folder / "catalog.npz")
    arrays = {f.name: getattr(world.posterior, f.name) for f in fields(Posterior)}
    write_arrays(folder / "fitted_posterior.npz", arrays)
    write_json(folder / "fitted.json", {"format": FORMAT_VERSION, "facts": world.facts, "notes": list(world.notes)})


def load_fitted(folder: Path) -> FittedWorld:
    """Read what `save_fitted` wrote; nothing is unpickled.

    Raises:
        BadData: a file is missing, damaged, of a newer format, or does not belong to the others.
    """
    folder = Path(folder)
    if not (folder / "fitted.json").is_file():
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
        raise BadData(f"{folder}: not a fitted world, fitted.json is missing ({there}). `recgym fit` writes one.")
    text = read_json(folder / "fitted.json")
    if not isinstance(text, dict) or not {"format", "facts", "notes"} <= set(text):
        raise BadData(f"{folder / 'fitted.json'}: needs the entries format, facts and notes; fit the world again.")
    if text["format"] != FORMAT_VERSION:
        raise BadData(
            f"{folder}: format {text['format']}; this RecGym reads format {FORMAT_VERSION}. Update RecGym or fit again."
        )
    try:
        users = CalibratedUsers.load(folder)
        catalog = Catalog.load(folder / "catalog.npz")
        arrays = read_arrays(folder / "fitted_posterior.npz", [f.name for f in fields(Posterior)])
        world = FittedWorld(users, catalog, Posterior(**arrays), text["facts"], tuple(text["notes"]))
        users.items(catalog)
    except BadData:
        raise
    except (RecGymError, ValueError, IndexError, TypeError) as error:
        raise BadData(f"{folder}: files that do not belong together ({error}). Fit the world again.") from error
    sizes = {"user_mean": len(users.population), "item_mean": len(catalog)}
    for name, size in sizes.items():
        if len(arrays[name]) != size:
            raise BadData(
                f"{folder / 'fitted_posterior.npz'}: {name} has {len(arrays[name])} rows; the world has {size}. The "
                f"files are of different fits: fit the world again."
            )
    return world


class Drawn(NamedTuple):
    """Absolute effects of people and items: one draw.

    user: (n, 6) score level and explicit log-odds. taste: (n, d). item: (N, 6).
    """

    user: np.ndarray
    taste: np.ndarray
    item: np.ndarray


def people(drawn: Drawn, posterior: Posterior, profile: np.ndarray, names: tuple[str, ...], outside_id: np.ndarray,
           rng: np.random.Generator) -> Population:  # fmt: skip
    """A population with these effects; patience and return rate as in `recgym.users.synthetic`."""
    n, d = drawn.taste.shape
    activity = np.zeros(n)
    for degree, name in enumerate(("full_active", "high_active", "middle_active", "low_active")):
        if name in names:
            activity += degree * profile[:, names.index(name)]
    level = np.zeros(len(TRAITS))
    level[0] = posterior.coefficient[0, 0]
    patience = np.exp(0.4 * rng.standard_normal(n) - 0.1 * activity)
    return Population(
        taste=(drawn.taste * np.sqrt(d) / posterior.taste_sd).astype(np.float32),
        trait=((drawn.user - level) / posterior.prior_sd[:6]).astype(np.float32),
        profile=np.asarray(profile, np.float32),
        patience=(patience / patience.mean()).astype(np.float32),
        return_rate=np.exp(0.3 * rng.standard_normal(n) - 0.3 * activity).astype(np.float32),
        outside_id=np.asarray(outside_id, np.int64),
    )


def fitted_catalog(catalog: Catalog, drawn: Drawn, posterior: Posterior) -> Catalog:
    """The log's items with these effects; users perceive their content as the platform knows it.

    The platform's `vector` gets two coordinates more, as in `recgym.users.synthetic.synthetic_catalog`: the
    standardised log duration, and what the log tells of the appeal (its posterior mean, in prior deviations).
    """
    known = posterior.item_mean[:, 0] / posterior.prior_sd[6]
    vector = np.column_stack([catalog.vector, _SIDE * _log_duration(catalog, catalog), _SIDE * known])
    appeal = np.asarray(drawn.item / posterior.prior_sd[6:12], np.float32)
    return replace(catalog, vector=vector.astype(np.float32), appeal=appeal, appeal_vector=catalog.vector)


def _log_duration(catalog: Catalog, among: Catalog) -> np.ndarray:
    """(N,) float32: log durations in deviations from their mean, both of the items of `among`."""
    usual = np.log(among.duration_s)
    return np.asarray((np.log(catalog.duration_s) - usual.mean()) / max(float(usual.std()), 1e-6), np.float32)


def aligned(world: FittedWorld, dataset: Dataset, seed: int = 0) -> tuple[FittedWorld, InteractionLog, tuple[str, ...]]:
    """The log of `dataset` counted in the people and items of `world`, by their outside ids.

    People and items that the world lacks are added to it, drawn from the prior: people given their profile, items with
    the content and duration of `dataset`. The data set must come from the loader and settings of the fitted one, so
    that profiles and content mean the same.

    Returns:
        The world (the same object if nothing was added), the log, and notes with counts.

    Raises:
        BadData: profile columns or content coordinates differ from those of the world.
    """
    _check_same_kind(world, dataset)
    rng = np.random.default_rng([seed, 77])
    log, users, catalog = dataset.log, world.users, world.catalog
    user, item = log.array("user"), log.array("item")
    new_users = np.setdiff1d(dataset.user_outside_id[np.unique(user)], users.population.outside_id)
    new_items = np.setdiff1d(dataset.catalog.outside_id[np.unique(item)], catalog.outside_id)
    notes = [
        _count_note("users", "people", len(new_users), dataset.user_outside_id[user], new_users),
        _count_note("items", "items", len(new_items), dataset.catalog.outside_id[item], new_items),
    ]
    if len(new_users):
        world = _with_people(world, dataset, _rows_of(new_users, dataset.user_outside_id), rng)
    if len(new_items):
        world = _with_items(world, dataset, _rows_of(new_items, dataset.catalog.outside_id), rng)
    user_row = _rows_of(dataset.user_outside_id[user], world.users.population.outside_id)
    item_row = _rows_of(dataset.catalog.outside_id[item], world.catalog.outside_id)
    moved = log.table.with_columns(user=user_row.astype(np.int64), item=item_row.astype(np.int32))
    return world, InteractionLog(moved, log.feedback, log.source), tuple(notes)


def _check_same_kind(world: FittedWorld, dataset: Dataset) -> None:
    d, p = world.catalog.appeal_vector.shape[1], world.users.population.profile.shape[1]
    names = tuple(world.facts.get("data", {}).get("profile_names", dataset.profile_names))
    if dataset.catalog.vector.shape[1] != d or dataset.profile.shape[1] != p or names != dataset.profile_names:
        raise BadData(
            f"the data set has {dataset.catalog.vector.shape[1]} content coordinates and the profile "
            f"{dataset.profile_names}; the world was fitted with {d} and {names}. Load it with the same settings."
        )


def _count_note(what: str, added: str, count: int, row_id: np.ndarray, new: np.ndarray) -> str:
    rows = int(np.isin(row_id, new).sum())
    if not count:
        return f"all {what} of the log are known to the world."
    return (f"{count} {what} of the log ({rows} of {len(row_id)} rows) are unknown to the world: added as {added} "
            f"drawn from the prior.")  # fmt: skip


def _rows_of(outside: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n,) int64: the row of each outside id in `known`; all must be there."""
    order = np.argsort(known, kind="stable")
    return np.asarray(order[np.searchsorted(known[order], outside)], np.int64)


def _with_people(world: FittedWorld, dataset: Dataset, rows: np.ndarray, rng: np.random.Generator) -> FittedWorld:
    known, d = world.posterior, world.catalog.appeal_vector.shape[1]
    profile = dataset.profile[rows]
    mean = known.expected(profile)
    drawn = Drawn(
        mean + known.prior_sd[:6] * rng.standard_normal(mean.shape),
        known.taste_sd / np.sqrt(d) * rng.standard_normal((len(rows), d)), np.zeros((0, 6)),
    )  # fmt: skip
    new = people(drawn, known, profile, dataset.profile_names, dataset.user_outside_id[rows], rng)
    old = world.users.population
    joined = Population(**{f.name: np.concatenate([getattr(old, f.name), getattr(new, f.name)]) for f in fields(old)})
    own_taste = np.column_stack([mean[:, 0], np.zeros((len(rows), d))])
    variance = np.broadcast_to(known.prior_sd[1:6] ** 2, (len(rows), 5))
    posterior = replace(
        known, user_mean=np.concatenate([known.user_mean, own_taste]).astype(np.float32),
        logit_mean=np.concatenate([known.logit_mean, mean[:, 1:]]).astype(np.float32),
        logit_variance=np.concatenate([known.logit_variance, variance]).astype(np.float32),
    )  # fmt: skip
    return replace(world, users=CalibratedUsers(joined, world.users.parameters), posterior=posterior)


def _with_items(world: FittedWorld, dataset: Dataset, rows: np.ndarray, rng: np.random.Generator) -> FittedWorld:
    known, old, new = world.posterior, world.catalog, dataset.catalog
    tags = max(old.tags.shape[1], new.tags.shape[1])
    columns = {name: np.concatenate([getattr(old, name), getattr(new, name)[rows]])
               for name in ("duration_s", "outside_id", "available_h")}  # fmt: skip
    vector = np.column_stack([new.vector, _SIDE * _log_duration(new, old), np.zeros(len(new))])[rows]
    padded = [np.pad(t, ((0, 0), (0, tags - t.shape[1])), constant_values=-1) for t in (old.tags, new.tags[rows])]
    appeal = rng.standard_normal((len(rows), len(APPEAL))).astype(np.float32)
    catalog = Catalog(
        **columns, tags=np.concatenate(padded), appeal=np.concatenate([old.appeal, appeal]),
        vector=np.concatenate([old.vector, vector.astype(np.float32)]),
        appeal_vector=np.concatenate([old.appeal_vector, new.vector[rows]]),
    )  # fmt: skip
    zeros = np.zeros((len(rows), 6), np.float32)
    variance = np.broadcast_to(known.prior_sd[6:12] ** 2, zeros.shape)
    posterior = replace(known, item_mean=np.concatenate([known.item_mean, zeros]),
                        item_variance=np.concatenate([known.item_variance, variance]).astype(np.float32))  # fmt: skip
    return replace(world, catalog=catalog, posterior=posterior)
