"""A synthetic catalogue and population with the published statistics of the Kuaishou feed; no download."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from recgym.catalog import APPEAL, Catalog
from recgym.errors import WrongSetting
from recgym.users.calibrated import TRAITS, Population

N_TAGS = 46
"""Distinct tags of KuaiRand-Pure."""

_DURATION_QUANTILE = (0.0, 0.05, 0.25, 0.50, 0.75, 0.95, 0.99, 1.0)
_DURATION_S = (5.0, 10.7, 31.9, 81.2, 148.2, 303.5, 510.0, 1177.0)
_TOP_TAGS = np.array([1446, 732, 675, 606, 489]) / 7583
_NO_TAG, _TWO_TAGS, _THREE_TAGS = 0.013, 0.235, 0.004
_TAG_SHARE_OF_VECTOR = 0.5
_KNOWN_SHARE_OF_VECTOR = 0.8
_SIDE = 0.35
"""Spread of the two last coordinates of `Catalog.vector` (duration, appeal), beside a content of length 1."""

_PROFILE = ("full_active", "high_active", "middle_active", "low_active", "is_author", "is_streamer",
            "log_follows", "log_fans", "log_friends", "register_days")  # fmt: skip
_ACTIVITY_SHARE = np.array([0.659, 0.226, 0.078, 0.037])
_ACTIVITY_CLICK = ndtri(np.array([0.469, 0.537, 0.578, 0.626]))
_ACTIVITY_LIKE = np.log(np.array([0.015, 0.024, 0.030, 0.046]))
_COUNTS = {"log_follows": (50, 155, 430), "log_fans": (10, 48, 221), "log_friends": (3, 16, 83)}


@lru_cache(maxsize=4)
def synthetic_catalog(n_items: int = 7_583, dimension: int = 16, seed: int = 0) -> Catalog:
    """N videos with the duration law, tag shares and tags per item of KuaiRand-Pure.

    Half of a content vector's squared length is the main tag's own direction, half the video's own. The platform's
    `vector` has two coordinates more: the content with 20 % of noise, then the standardised log duration, then what
    its statistics tell of the appeal (half signal, half noise). Appeals are standard normal over the catalogue
    (exactly: mean 0, variance 1).

    Raises:
        WrongSetting: n_items below 1, or a dimension that is no multiple of 4.
    """
    if n_items < 1 or dimension < 4 or dimension % 4:
        raise WrongSetting(f"n_items={n_items}, dimension={dimension}: at least 1 item and a multiple of 4 are needed.")
    rng = np.random.default_rng([seed, 1])
    tags = _tags(rng, n_items)
    appeal_vector = _mixed(_directions(rng, N_TAGS + 1, dimension)[tags[:, 0]], _TAG_SHARE_OF_VECTOR, rng)
    known = np.empty((n_items, dimension + 2), np.float32)
    known[:, :dimension] = _mixed(appeal_vector, _KNOWN_SHARE_OF_VECTOR, rng)
    quantile = (rng.permutation(n_items) + 0.5) / n_items
    duration = np.exp(np.interp(quantile, _DURATION_QUANTILE, np.log(_DURATION_S)))
    appeal = _standardised(rng.standard_normal((n_items, len(APPEAL)), np.float32))
    known[:, dimension] = _SIDE * _standardised(np.log(duration)[:, None])[:, 0]
    known[:, dimension + 1] = _SIDE * np.sqrt(0.5) * (appeal[:, 0] + rng.standard_normal(n_items, np.float32))
    return Catalog(
        vector=known,
        duration_s=duration.astype(np.float32),
        tags=tags,
        outside_id=np.arange(n_items, dtype=np.int64),
        appeal_vector=appeal_vector,
        appeal=appeal,
    )


def _tags(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 3) int16: shares of the five most common tags as published, the others falling as 1 / rank."""
    rest = 1.0 / np.arange(6, N_TAGS + 1)
    share = np.concatenate([_TOP_TAGS, rest / rest.sum() * (1 - _NO_TAG - _TOP_TAGS.sum())])
    edges = np.cumsum(share)
    tags = np.searchsorted(edges, rng.random((n, 3)) * edges[-1]).astype(np.int16)
    for column in (1, 2):  # a further tag is another one: drawn again until it is
        while (again := (tags[:, :column] == tags[:, column : column + 1]).any(axis=1)).any():
            tags[again, column] = np.searchsorted(edges, rng.random(int(again.sum())) * edges[-1])
    many = rng.random(n)
    tags[many >= _TWO_TAGS + _THREE_TAGS, 1] = -1
    tags[many >= _THREE_TAGS, 2] = -1
    tags[rng.random(n) < _NO_TAG] = -1
    return np.asarray(tags)


def _directions(rng: np.random.Generator, n: int, dimension: int) -> np.ndarray:
    rows = rng.standard_normal((n, dimension), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows)


def _mixed(rows: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Unit rows of which `share` of the squared length (on average) is `rows`, the rest a direction of their own."""
    out = _directions(rng, *rows.shape)
    out *= np.float32(np.sqrt(1 - share))
    out += rows * np.float32(np.sqrt(share))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return out


def _standardised(columns: np.ndarray) -> np.ndarray:
    if len(columns) > 1:
        columns -= columns.mean(axis=0)
        columns /= np.maximum(columns.std(axis=0), 1e-6)
    return columns


def _correlation() -> np.ndarray:
    """Published correlations between users' propensities (datasets note, 2.4), columns as in `TRAITS`."""
    c = np.eye(len(TRAITS))
    pairs = {("watch", "like"): 0.18, ("watch", "comment"): 0.20, ("like", "follow"): 0.32,
             ("like", "forward"): 0.24, ("like", "comment"): 0.21}  # fmt: skip
    for (a, b), value in pairs.items():
        i, j = TRAITS.index(a), TRAITS.index(b)
        c[i, j] = c[j, i] = value
    return c


@lru_cache(maxsize=4)
def synthetic_population(n_users: int = 27_000, dimension: int = 16, seed: int = 0) -> Population:
    """U people with the activity mix, account statistics and correlated propensities of KuaiRand's users.

    Each propensity is exactly standard normal over the population (normal quantiles, shuffled), so that rates do not
    depend on the seed. Less active people watch and like more, as published.

    Raises:
        WrongSetting: n_users below 1, or a dimension that is no multiple of 4.
    """
    if n_users < 1 or dimension < 4 or dimension % 4:
        raise WrongSetting(f"n_users={n_users}, dimension={dimension}: at least 1 user and a multiple of 4 are needed.")
    rng = np.random.default_rng([seed, 2])
    activity = np.searchsorted(np.cumsum(_ACTIVITY_SHARE), rng.random(n_users)).clip(max=3)
    trait = rng.multivariate_normal(np.zeros(len(TRAITS)), _correlation(), n_users, method="cholesky")
    trait[:, 0] += (_ACTIVITY_CLICK[activity] - _ACTIVITY_CLICK @ _ACTIVITY_SHARE) / 0.45
    trait[:, 1] += (_ACTIVITY_LIKE[activity] - _ACTIVITY_LIKE @ _ACTIVITY_SHARE) / 1.9
    order = trait.argsort(axis=0).argsort(axis=0)
    patience = np.exp(0.4 * rng.standard_normal(n_users) - 0.1 * activity)
    return Population(
        taste=rng.standard_normal((n_users, dimension), np.float32),
        trait=ndtri((order + 0.5) / n_users).astype(np.float32),
        profile=_profile(rng, activity, trait[:, 0]),
        patience=(patience / patience.mean()).astype(np.float32),
        return_rate=np.exp(0.3 * rng.standard_normal(n_users) - 0.3 * activity).astype(np.float32),
        outside_id=np.arange(n_users, dtype=np.int64),
    )


def _profile(rng: np.random.Generator, activity: np.ndarray, watch: np.ndarray) -> np.ndarray:
    """(U, 10) float32, columns as the KuaiRand loader gives them (`_PROFILE`); counts are log-normal as published."""
    n = len(activity)
    out = np.zeros((n, len(_PROFILE)), np.float32)
    out[np.arange(n), activity] = 1
    out[:, 4] = rng.random(n) < 0.7
    out[:, 5] = rng.random(n) < 0.03
    social = rng.standard_normal(n)
    for column, (low, middle, high) in zip(range(6, 9), _COUNTS.values(), strict=True):
        spread = np.log(high / low) / (2 * 0.6745)
        z = 0.6 * social + 0.8 * rng.standard_normal(n)
        out[:, column] = np.log1p(np.exp(np.log(middle) + spread * z)) / 10
    days = np.interp(rng.random(n), (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1), (8, 250, 683, 1188, 1701, 2381, 3200))
    out[:, 9] = days / 3650
    return out
