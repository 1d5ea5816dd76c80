"""What a fit found out, put together as a `Posterior` and as one draw from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recgym.users.calibrated import EXPLICIT
from recgym.users.feedback_model import FeedbackFit
from recgym.users.fitted import Drawn, Posterior
from recgym.users.mixed_model import ScoreFit

Answers = Mapping[str, FeedbackFit | None]
"""The model of each explicit feedback, in the order of `EXPLICIT`; None where the log does not have it."""


def score_posterior(score: ScoreFit, columns: int) -> Posterior:
    """A posterior of the score alone, explicit feedbacks not known yet."""
    answers: dict[str, FeedbackFit | None] = dict.fromkeys(EXPLICIT)
    ones = np.ones((len(score.user_mean), columns))
    return posterior(score, answers, ones, np.zeros(columns - 1), np.ones(columns - 1))


def posterior(score: ScoreFit, answers: Answers, profile: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> Posterior:
    """Everything that is known. profile: (U, 1 + P) a one and the standardised profile; mean, sd: (P,) of it."""
    users, items, columns = len(score.user_mean), len(score.item_mean), profile.shape[1]
    coefficient = np.zeros((columns, 6))
    coefficient[:, 0] = score.coefficient
    logit_mean, logit_variance = np.zeros((users, 5)), np.zeros((users, 5))
    item_mean, item_variance = np.zeros((items, 6)), np.zeros((items, 6))
    item_mean[:, 0], item_variance[:, 0] = score.item_mean, score.item_variance
    prior = np.ones(13)
    prior[[0, 6, 12]] = np.sqrt([score.variances.user, score.variances.item, score.variances.taste])
    for f, answer in enumerate(answers.values()):
        if answer is not None:
            coefficient[1:, 1 + f] = _profile_weights(answer, columns)
            logit_mean[:, f] = profile @ coefficient[:, 1 + f] + answer.user_scale * answer.user_mean
            logit_variance[:, f] = answer.user_scale**2 * answer.user_variance
            item_mean[:, 1 + f] = answer.item_scale * answer.item_mean
            item_variance[:, 1 + f] = answer.item_scale**2 * answer.item_variance
            prior[1 + f], prior[7 + f] = answer.user_scale, answer.item_scale
    large = {"user_mean": score.user_mean, "user_covariance": score.user_covariance, "logit_mean": logit_mean,
             "logit_variance": logit_variance, "item_mean": item_mean, "item_variance": item_variance}  # fmt: skip
    return Posterior(
        **{name: array.astype(np.float32) for name, array in large.items()},
        seen=score.seen,
        coefficient=coefficient,
        profile_mean=mean,
        profile_sd=sd,
        prior_sd=prior,
    )


def _profile_weights(answer: FeedbackFit, columns: int) -> np.ndarray:
    """(P,) weights of the profile, the last ones of the model."""
    return answer.weight[len(answer.weight) - (columns - 1) :]


def drawn_effects(score: ScoreFit, answers: Answers, profile: np.ndarray) -> Drawn:
    """The sampler's last draw of all people and items. profile: as in `posterior`."""
    user, item = np.zeros((len(score.user), 6)), np.zeros((len(score.item), 6))
    user[:, 0], item[:, 0] = score.user[:, 0], score.item
    for f, answer in enumerate(answers.values()):
        if answer is not None:
            own = profile[:, 1:] @ _profile_weights(answer, profile.shape[1])
            user[:, 1 + f] = own + answer.user_scale * answer.user
            item[:, 1 + f] = answer.item_scale * answer.item
    return Drawn(user, score.user[:, 1:], item)
