"""Calibrated users estimated from a log: a Gaussian copula of watch time, and logistic models of the rare feedbacks.

Watch ratios are turned into normal scores within duration buckets; a linear mixed model splits the score into
person, taste, item and chance (`recgym.users.mixed_model`); logistic mixed models do the same for each explicit
feedback (`recgym.users.feedback_model`). People and items of the fitted world are one draw from the posterior, so
that they differ from each other as much as the log says, not as little as estimates do. At the end the log is
replayed through the simulator, and the table of watch ratios and the intercepts are set so that what is
simulated has the log's watch times in every bucket and the log's rates.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from recgym.catalog import Catalog
from recgym.errors import BadData
from recgym.feedback import long_view, valid_play
from recgym.loaders.dataset import Dataset
from recgym.replay import schedule
from recgym.users.calibrated import EXPLICIT, CalibratedParameters, CalibratedUsers
from recgym.users.feedback_model import FeedbackFit, FeedbackRows, fit_feedback
from recgym.users.fit_posterior import Answers, drawn_effects, score_posterior
from recgym.users.fit_posterior import posterior as posterior_of
from recgym.users.fit_settings import FitSettings
from recgym.users.fitted import FittedWorld, Posterior, fitted_catalog, people
from recgym.users.kuaishou import default_parameters
from recgym.users.matching import NEVER, SCORE, FitRows, feedback_column, matched, score_grid
from recgym.users.mixed_model import Progress, ScoreFit, ScoreRows, Variances, fit_score
from recgym.users.prediction import Moods, guess_score, lull
from recgym.users.watch_table import bucket_ends, normal_scores, ratio_table, score_limits

_MIN_ROWS = 200


def _quiet(stage: str, share: float) -> None:
    """No progress is shown."""


def fit(dataset: Dataset, settings: FitSettings | None = None, progress: Progress | None = None) -> FittedWorld:
    """Fit calibrated users, with all people and items of `dataset`, to its log.

    Everybody in `dataset.profile` becomes a person of the world, those without rows as draws from the prior given
    their profile; load the data set with all users and items if the world is to have them. Time and memory grow with
    the rows: about 1 minute for 130,000.

    Args:
        dataset: what a loader gave.
        settings: None = the defaults.
        progress: called with a stage and the share of it that is done.

    Raises:
        BadData: too few rows with a known duration, or content vectors that the users cannot take.
    """
    settings, progress = settings or FitSettings(), progress or _quiet
    rows = _prepare(dataset, settings)
    rng = np.random.default_rng([settings.seed, 1])
    profile_mean, profile_sd, profile = _standard(dataset.profile)
    score = _fit_watch(rows, dataset.catalog, profile, settings, rng, progress)
    match = guess_score(
        score_posterior(score, profile.shape[1]), dataset.catalog, rows.user, rows.item, rows.lost
    ).match
    answers = {}
    for f, name in enumerate(EXPLICIT):
        answers[name] = _fit_answer(f, rows, match, profile, len(dataset.catalog), settings, rng)
        progress("feedbacks", (f + 1) / len(EXPLICIT))
    posterior = posterior_of(score, answers, profile, profile_mean, profile_sd)
    drawn = drawn_effects(score, answers, profile)
    habits = np.random.default_rng([settings.seed, 2])
    population = people(drawn, posterior, dataset.profile, dataset.profile_names, dataset.user_outside_id, habits)
    catalog = fitted_catalog(dataset.catalog, drawn, posterior)
    users = CalibratedUsers(population, _parameters(rows, score, answers, posterior, settings))
    users = matched(users, catalog, rows, settings, progress)
    notes = (*dataset.notes, *_notes(rows, settings))
    return FittedWorld(users, catalog, posterior, _facts(dataset, rows, score, users, settings), notes)


def _prepare(dataset: Dataset, settings: FitSettings) -> FitRows:
    log, catalog = dataset.log, dataset.catalog
    if catalog.vector.shape[1] % 4:
        raise BadData(
            f"content vectors have {catalog.vector.shape[1]} coordinates; calibrated users need a multiple of 4. Load "
            f"the data with dimension=16."
        )
    user, item = log.array("user"), log.array("item").astype(np.int64)
    known = np.ones(len(log), np.bool_)
    if "extra_duration_known" in log.table.columns:
        known = log.array("extra_duration_known").astype(np.bool_)
    if known.sum() < _MIN_ROWS:
        raise BadData(f"the log has {known.sum()} rows with a known duration; a fit needs at least {_MIN_ROWS}.")
    duration, watch = catalog.duration_s[item], log.array("watch_time_s")
    ends = bucket_ends(duration[known], settings.buckets, settings.min_bucket_rows)
    plan = schedule(log)
    watched = valid_play(watch, duration).astype(int) + long_view(watch, duration) + (watch >= duration)
    lost = lull(plan, item, catalog.tag[item].astype(np.int64), _moods(settings))
    bucket = np.searchsorted(ends, duration, side="left")
    return FitRows(log, plan, user, item, watch / duration, known, watched, ends, bucket, lost)


def _moods(settings: FitSettings) -> Moods:
    """Boredom, fatigue and repetition: as set, or those of the default users."""
    default = Moods.of(default_parameters())._asdict()
    chosen = {name: getattr(settings, name) for name in default}
    return Moods(**{name: default[name] if value is None else value for name, value in chosen.items()})


def _standard(profile: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and deviation of the profile columns, and (U, 1 + P) a one and the standardised profile."""
    mean, sd = profile.mean(axis=0, dtype=float), profile.std(axis=0, dtype=float)
    sd = np.where(sd > 0, sd, 1.0)
    return mean, sd, np.column_stack([np.ones(len(profile)), (profile - mean) / sd])


def _fit_watch(
    rows: FitRows,
    catalog: Catalog,
    profile: np.ndarray,
    settings: FitSettings,
    rng: np.random.Generator,
    progress: Progress,
) -> ScoreFit:
    known = rows.known
    low, high = score_limits(rows.ratio[known], rows.bucket[known], catalog.duration_s[rows.item[known]])
    content = catalog.vector.astype(np.float64) * np.sqrt(catalog.vector.shape[1])
    begin = Variances(0.15, 0.03 if settings.taste is None else settings.taste**2, 0.05, 0.75)
    lost = rows.lost[known]
    data = ScoreRows(low + lost, high + lost, rows.user[known], rows.item[known], content, profile)
    return fit_score(data, begin, settings.sweeps, settings.burn_in, rng, progress, settings.taste)


def _fit_answer(
    f: int, rows: FitRows, match: np.ndarray, profile: np.ndarray, n_items: int, settings: FitSettings,
    rng: np.random.Generator,
) -> FeedbackFit | None:  # fmt: skip
    """The model of explicit feedback f; None if the log does not have it. The default users' numbers are the prior."""
    log, default = rows.log, default_parameters()
    if EXPLICIT[f] not in log.feedback:
        return None
    earlier = np.column_stack([feedback_column(log, name) for name in EXPLICIT[:f]] or [np.zeros((len(log), 0))])
    feature = np.column_stack([np.eye(4)[rows.watched], match, earlier, profile[rows.user, 1:]])
    given = feedback_column(log, EXPLICIT[f])
    usual = default.intercept[f] - default.intercept[f].mean() - default.user_scale[f] ** 2 / 4
    usual += np.log((given.sum() + 0.5) / (len(given) - given.sum() + 0.5))
    scales = [default.user_scale[f], default.appeal_scale[f]]
    none = np.zeros(profile.shape[1] - 1)
    mean = np.concatenate([usual, [default.match_slope[f]], default.follow_on[f, :f], none, scales])
    sd = np.concatenate([np.full(4, 2.0), [0.5], np.full(f, 1.0), none + 0.3, [0.4, 0.4]])
    data = FeedbackRows(given > 0, rows.user, rows.item, feature, mean, sd, len(profile), n_items)
    return fit_feedback(data, settings.feedback_sweeps, settings.feedback_sweeps // 3, rng)


def _parameters(
    rows: FitRows, score: ScoreFit, answers: Answers, posterior: Posterior, settings: FitSettings
) -> CalibratedParameters:
    """The model's numbers, with a first watch table for standard normal scores."""
    moods, default = _moods(settings), default_parameters()
    sd = posterior.prior_sd
    drift = default.watch_value("drift") if settings.drift is None else settings.drift
    watch = [posterior.coefficient[0, 0], sd[0], sd[6], sd[12], np.sqrt(score.variances.noise), moods.boredom,
             moods.fatigue, drift]  # fmt: skip
    intercept, slope = np.full((5, 4), NEVER), np.zeros(5)
    follow_on = np.array(default.follow_on)
    for f, answer in enumerate(answers.values()):
        if answer is not None:
            intercept[f], slope[f] = answer.weight[:4], answer.weight[4]
            follow_on[f, :f] = answer.weight[5 : 5 + f]
    grid = score_grid(settings.score_columns)
    known = rows.known
    scores = normal_scores(rows.ratio[known], rows.bucket[known])
    table = ratio_table(scores, rows.bucket[known], rows.ratio[known], rows.bucket[known], grid, len(rows.ends) + 1)
    numbers = {"watch": watch, "intercept": intercept, "match_slope": slope, "user_scale": sd[1:6],
               "appeal_scale": sd[7:12], "follow_on": follow_on, "repeat": [moods.repeat]}  # fmt: skip
    arrays = {name: np.asarray(value, np.float32) for name, value in numbers.items()}
    return CalibratedParameters(bucket_end_s=rows.ends, score=SCORE, ratio=table, **arrays)


def _notes(rows: FitRows, settings: FitSettings) -> list[str]:
    log = rows.log
    notes = [
        f"{(~rows.known).sum()} rows without a known duration are left out of the watch model.",
        "Boredom, fatigue, repetition and drift are those that were set, not estimates; see FitSettings.",
    ]
    missing = [name for name in EXPLICIT if name not in log.feedback]
    other = [name for name in log.feedback if name not in (*EXPLICIT, "click", "long_view")]
    notes += [f"The log does not have {', '.join(missing)}: the fitted users never give it."] * bool(missing)
    notes += [f"The log's {', '.join(other)} has no counterpart in the users and is not fitted."] * bool(other)
    for name, rule in (("click", rows.watched >= 1), ("long_view", rows.watched >= 2)):
        if name in log.feedback:
            same = np.mean(log.array(name) == rule)
            notes.append(
                f"The log's {name} agrees with the rule on watch time in {same:.2%} of rows; its rate is "
                f"{log.array(name).mean():.4f}, the rule's {rule.mean():.4f}. The users follow the rule."
            )
    return notes


def _facts(
    dataset: Dataset, rows: FitRows, score: ScoreFit, users: CalibratedUsers, settings: FitSettings
) -> dict[str, Any]:
    """Settings, data, estimates and versions, as plain numbers and texts."""
    log, parameters = dataset.log, users.parameters
    time_ms = log.array("time_ms") if "time_ms" in log.table.columns else None
    return {
        "settings": asdict(settings),
        "data": {
            "source": dict(log.source), "rows": len(log), "rows_with_duration": int(rows.known.sum()),
            "users": len(dataset.profile), "users_with_rows": len(score.seen), "items": len(dataset.catalog),
            "items_with_rows": len(np.unique(rows.item)), "profile_names": list(dataset.profile_names),
            "first_time_ms": None if time_ms is None else int(time_ms.min()),
            "last_time_ms": None if time_ms is None else int(time_ms.max()),
            "events": {name: int(log.array(name).sum()) for name in log.feedback},
        },
        "estimates": {
            "variance": {name: float(value) for name, value in score.variances._asdict().items()},
            "level": float(score.coefficient[0]),
            **{name: [float(value) for value in getattr(parameters, name)]
               for name in ("match_slope", "user_scale", "appeal_scale")},
            "follow_on": [[float(value) for value in row] for row in parameters.follow_on],
            "buckets": len(rows.ends) + 1,
        },
        "versions": {name: version(name) for name in ("recgym", "numpy", "scipy", "numba", "polars")},
    }  # fmt: skip


__all__ = ["FitSettings", "fit"]
