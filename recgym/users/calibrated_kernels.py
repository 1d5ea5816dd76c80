"""Compiled loops of `recgym.users.calibrated`: one pass over the users, one packed row per item.

A packed item row holds the content vector (already scaled by taste), then at offset d: appeal in the score, the
five explicit appeals in log-odds, duration in seconds, table row, main tag, and the scores from which on the item
counts as clicked, long viewed and complete. Rows are padded to whole cache lines: gathering one row is one miss.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from recgym.catalog import Catalog
from recgym.compiled import compiled
from recgym.feedback import LONG_VIEW_S, VALID_PLAY_S
from recgym.noise import draw_name, normal_quantile, step_key, uniform_at

if TYPE_CHECKING:
    from recgym.users.calibrated import CalibratedParameters

RECENT = 10
"""How many past tags bore a user."""

REMEMBERED = 20
"""How many past items a user recognises."""

_ENGAGE = draw_name("engagement")
_DRAW = np.array([draw_name(name) for name in ("like", "follow", "comment", "forward", "hate")], np.uint64)
_APPEAL, _EXPLICIT, _DURATION, _BUCKET, _TAG, _CLICK, _LONG, _COMPLETE = 0, 1, 6, 7, 8, 9, 10, 11
_EXTRA = 12
_FLOATS_PER_LINE = 16
# Columns of Settings.numbers: first those of CalibratedParameters.watch, then the rest.
_TASTE, _SIGMA, _BORE, _FATIGUE, _DRIFT = 3, 4, 5, 6, 7
_FIRST, _STEP_INVERSE, _REPEAT, _MATCH, _INTERCEPT, _FOLLOW_ON = 8, 9, 10, 11, 16, 36


class Settings(NamedTuple):
    """What the loops read of `CalibratedParameters`; few arrays, since each costs a single user's step 0.2 us.

    ratio: (B, G) float32. mean_ratio: (B, G) float32, see `mean_ratios`. numbers: (61,) float32, all others in a row.
    """

    ratio: np.ndarray
    mean_ratio: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(cls, parameters: CalibratedParameters) -> Settings:
        """The settings of these parameters."""
        score, ratio = parameters.score, parameters.ratio
        step_inverse = (ratio.shape[1] - 1) / (score[1] - score[0])
        ends = np.array([score[0], step_inverse])
        numbers = [parameters.watch, ends, parameters.repeat, parameters.match_slope,
                   parameters.intercept.ravel(), parameters.follow_on.ravel()]  # fmt: skip
        mean_ratio = mean_ratios(ratio, score, parameters.watch_value("sigma"))
        return cls(ratio, mean_ratio, np.concatenate(numbers).astype(np.float32))


def mean_ratios(ratio: np.ndarray, score: np.ndarray, sigma: float) -> np.ndarray:
    """(B, G) float32: expected ratio when the score is normal with mean at each column and deviation sigma.

    Exact for the piecewise linear rows of `ratio`: such a row is a sum of hinges max(y - knot, 0), and the
    expectation of a hinge is sigma * (phi(u) + u * Phi(u)) with u = (mean - knot) / sigma.
    """
    grid = np.linspace(score[0], score[1], ratio.shape[1])
    slope = np.diff(ratio.astype(float), axis=1) / (grid[1] - grid[0])
    bend = np.diff(np.pad(slope, ((0, 0), (1, 1))), axis=1)
    u = (grid[:, None] - grid[None, :]) / sigma
    hinge = sigma * (np.exp(-0.5 * u * u) / math.sqrt(2 * math.pi) + u * ndtr(u))
    return np.asarray(ratio[:, :1] + bend @ hinge.T, np.float32)


def pack_items(catalog: Catalog, parameters: CalibratedParameters) -> np.ndarray:
    """(N, width) float32, each row starting at a cache line; see the module for the columns."""
    n, d = catalog.appeal_vector.shape
    width = -(-(d + _EXTRA) // _FLOATS_PER_LINE) * _FLOATS_PER_LINE
    room = np.zeros(n * width + _FLOATS_PER_LINE, np.float32)
    skip = (-room.ctypes.data // 4) % _FLOATS_PER_LINE
    rows = room[skip : skip + n * width].reshape(n, width)
    rows[:, :d] = catalog.appeal_vector * np.float32(np.sqrt(d))
    duration = catalog.duration_s
    rows[:, d + _APPEAL] = catalog.appeal[:, 0] * parameters.watch_value("appeal")
    rows[:, d + _EXPLICIT : d + _EXPLICIT + 5] = catalog.appeal[:, 1:] * parameters.appeal_scale
    rows[:, d + _DURATION] = duration
    rows[:, d + _BUCKET] = parameters.bucket(duration)
    rows[:, d + _TAG] = catalog.tag
    for column, seconds in ((_CLICK, VALID_PLAY_S), (_LONG, LONG_VIEW_S)):
        rows[:, d + column] = parameters.threshold(duration, np.minimum(seconds / duration, 1.0))
    rows[:, d + _COMPLETE] = parameters.threshold(duration, np.ones(n))
    return rows


@compiled(inline="always")
def _dot(a: np.ndarray, i: int, b: np.ndarray, x: int, d: int) -> Any:
    """Row i of a times row x of b, in four fixed sums: the same bits in every batch, and fast."""
    s0 = s1 = s2 = s3 = np.float32(0.0)
    for c in range(0, d, 4):
        s0 += a[i, c] * b[x, c]
        s1 += a[i, c + 1] * b[x, c + 1]
        s2 += a[i, c + 2] * b[x, c + 2]
        s3 += a[i, c + 3] * b[x, c + 3]
    return (s0 + s1) + (s2 + s3)


@compiled(inline="always")
def _watch_ratio(score: float, ratio: np.ndarray, bucket: int, first: float, step_inverse: float) -> Any:
    """watch_time / duration at a score: linear between the columns of the table, constant beyond its ends."""
    last = ratio.shape[1] - 1
    at = (score - first) * step_inverse
    if at <= 0.0:
        return ratio[bucket, 0]
    if at >= last:
        return ratio[bucket, last]
    column = int(at)
    part = np.float32(at - column)
    return ratio[bucket, column] + part * (ratio[bucket, column + 1] - ratio[bucket, column])


@compiled(inline="always")
def _happens(u: float, logit: float) -> bool:
    """Whether u < sigmoid(logit). Most draws are settled by a cheap upper bound of the probability."""
    if logit < 0.0:
        x = -logit
        if u * (1.0 + x * (1.0 + x * (0.5 + x * 0.16666666666666666))) >= 1.0:
            return False
    return u * (1.0 + math.exp(-logit)) < 1.0


@compiled(inline="always")
def _repeats(
    recent_tag: np.ndarray, i: int, tag: int, item: np.ndarray, j: int, items: np.ndarray, tag_column: int
) -> float:
    """Share of the last 10 shown items, the earlier ones of this slate included, that carry this tag."""
    if tag < 0:
        return 0.0
    count = 0
    for c in range(recent_tag.shape[1]):
        count += recent_tag[i, c] == tag
    for c in range(j):
        count += int(items[item[i, c], tag_column]) == tag
    return min(count, RECENT) / RECENT


@compiled(inline="always")
def _known(recent_item: np.ndarray, i: int, x: int) -> float:
    """1.0 if item x is among the last 20 that user i was shown, else 0.0."""
    count = 0
    for c in range(recent_item.shape[1]):
        count += recent_item[i, c] == x
    return 1.0 if count else 0.0


@compiled
def start_rows(
    rows: np.ndarray,
    person: np.ndarray,
    person_taste: np.ndarray,
    person_trait: np.ndarray,
    user: np.ndarray,
    taste: np.ndarray,
    trait: np.ndarray,
    recent_tag: np.ndarray,
    recent_item: np.ndarray,
    exposures: np.ndarray,
    shown: np.ndarray,
) -> None:
    """Set `rows` (r,) of a state to persons (r,) who have seen nothing yet."""
    for r in range(len(rows)):
        i, p = rows[r], person[r]
        user[i] = p
        for c in range(taste.shape[1]):
            taste[i, c] = person_taste[p, c]
        for c in range(trait.shape[1]):
            trait[i, c] = person_trait[p, c]
        recent_tag[i, :] = -1
        recent_item[i, :] = -1
        exposures[i] = 0
        shown[i] = 0


@compiled
def respond_rows(
    start: int,
    stop: int,
    watch: np.ndarray,
    feedback: np.ndarray,
    taste: np.ndarray,
    trait: np.ndarray,
    recent_tag: np.ndarray,
    recent_item: np.ndarray,
    exposures: np.ndarray,
    item: np.ndarray,
    items: np.ndarray,
    ratio: np.ndarray,
    numbers: np.ndarray,
    key: np.ndarray,
    step: np.ndarray,
) -> None:
    """Fill rows of watch (n, k) float32 and feedback (n, k, 7) bool with what these users do with item (n, k).

    All arrays come one by one: reading them out of a tuple for every row would cost more than the arithmetic.
    """
    d = taste.shape[1]
    first, step_inverse = numbers[_FIRST], numbers[_STEP_INVERSE]
    for i in range(start, stop):
        at = step_key(key[i], step[i])
        for j in range(item.shape[1]):
            x = item[i, j]
            match = items[x, d + _APPEAL] + _dot(taste, i, items, x, d)
            tag = int(items[x, d + _TAG])
            mean = (trait[i, 0] + match
                    - numbers[_BORE] * _repeats(recent_tag, i, tag, item, j, items, d + _TAG)
                    - numbers[_FATIGUE] * min((exposures[i] + j) / 50.0, 2.0)
                    - numbers[_REPEAT] * _known(recent_item, i, x))  # fmt: skip
            y = mean + numbers[_SIGMA] * normal_quantile(uniform_at(at, _ENGAGE, j))
            duration = items[x, d + _DURATION]
            seconds = np.float32(duration * _watch_ratio(y, ratio, int(items[x, d + _BUCKET]), first, step_inverse))
            watch[i, j] = seconds
            complete = seconds >= duration
            click = complete if duration <= VALID_PLAY_S else seconds > VALID_PLAY_S
            long = complete if duration <= LONG_VIEW_S else seconds >= LONG_VIEW_S
            feedback[i, j, 0] = click
            feedback[i, j, 1] = long
            watched = 0 if not click else 1 if not long else 2 if not complete else 3
            any_given = False
            for f in range(5):
                logit = (numbers[_INTERCEPT + 4 * f + watched] + numbers[_MATCH + f] * match + trait[i, 1 + f]
                         + items[x, d + _EXPLICIT + f])  # fmt: skip
                if any_given:
                    for g in range(f):
                        if feedback[i, j, 2 + g]:
                            logit += numbers[_FOLLOW_ON + 5 * f + g]
                given = _happens(uniform_at(at, _DRAW[f], j), logit)
                feedback[i, j, 2 + f] = given
                any_given |= given


@compiled
def respond(
    watch: np.ndarray,
    feedback: np.ndarray,
    state: Any,
    item: np.ndarray,
    items: np.ndarray,
    settings: Any,
    key: np.ndarray,
    step: np.ndarray,
) -> None:
    """`respond_rows` for all rows."""
    _, taste, trait, recent_tag, recent_item, exposures, _ = state
    respond_rows(0, item.shape[0], watch, feedback, taste, trait, recent_tag, recent_item, exposures, item, items,
                 settings.ratio, settings.numbers, key, step)  # fmt: skip


@compiled
def change_rows(
    start: int,
    stop: int,
    taste: np.ndarray,
    recent_tag: np.ndarray,
    recent_item: np.ndarray,
    exposures: np.ndarray,
    shown: np.ndarray,
    item: np.ndarray,
    watch: np.ndarray,
    items: np.ndarray,
    numbers: np.ndarray,
) -> None:
    """Move rows of taste (n, d), the rings recent_tag and recent_item and their counts past the slate, in place."""
    d = taste.shape[1]
    scale = numbers[_TASTE] / math.sqrt(d)
    drift = numbers[_DRIFT]
    for i in range(start, stop):
        for j in range(item.shape[1]):
            x = item[i, j]
            liking = np.float32(drift * (min(watch[i, j] / items[x, d + _DURATION], 1.0)))
            if liking > 0.0:
                before = after = np.float32(0.0)
                for c in range(d):
                    old = taste[i, c]
                    new = old + liking * (np.float32(scale) * items[x, c] - old)
                    before += old * old
                    after += new * new
                    taste[i, c] = new
                keep = math.sqrt(before / after) if after > 0.0 else 1.0
                for c in range(d):
                    taste[i, c] *= np.float32(keep)
            recent_tag[i, exposures[i] % RECENT] = np.int16(items[x, d + _TAG])
            exposures[i] += 1
            recent_item[i, shown[i] % REMEMBERED] = x
            shown[i] += 1


@compiled(inline="always")
def _above(mean: float, threshold: float, sigma: float) -> float:
    """P(mean + sigma * normal >= threshold)."""
    return 0.5 * math.erfc((threshold - mean) / (sigma * 1.4142135623730951))


@compiled(inline="always")
def _sigmoid(x: int) -> float:
    return 1.0 / (1.0 + math.exp(-x))


@compiled
def expect(
    watch: np.ndarray, probability: np.ndarray, state: Any, item: np.ndarray, items: np.ndarray, settings: Any
) -> None:
    """Fill the expected watch (n, k) float32 and probability (n, k, 7) float32 of each item taken alone."""
    n, k = item.shape
    _, taste, trait, recent_tag, recent_item, exposures, _ = state
    numbers, mean_ratio = settings.numbers, settings.mean_ratio
    d = taste.shape[1]
    sigma, first, step_inverse = numbers[_SIGMA], numbers[_FIRST], numbers[_STEP_INVERSE]
    given = np.empty(5)
    for i in range(n):
        for j in range(k):
            x = item[i, j]
            match = items[x, d + _APPEAL] + _dot(taste, i, items, x, d)
            tag = int(items[x, d + _TAG])
            mean = (trait[i, 0] + match - numbers[_BORE] * _repeats(recent_tag, i, tag, item, 0, items, d + _TAG)
                    - numbers[_FATIGUE] * min(exposures[i] / 50.0, 2.0)
                    - numbers[_REPEAT] * _known(recent_item, i, x))  # fmt: skip
            ratio = _watch_ratio(mean, mean_ratio, int(items[x, d + _BUCKET]), first, step_inverse)
            watch[i, j] = ratio * items[x, d + _DURATION]
            complete = _above(mean, items[x, d + _COMPLETE], sigma)
            long = max(_above(mean, items[x, d + _LONG], sigma), complete)
            click = max(_above(mean, items[x, d + _CLICK], sigma), long)
            probability[i, j, 0] = click
            probability[i, j, 1] = long
            for f in range(5):
                probability[i, j, 2 + f] = 0.0
            share = (1.0 - click, click - long, long - complete, complete)
            for watched in range(4):
                if share[watched] > 0.0:
                    _explicit(given, numbers, match, trait, i, items, x, d, watched)
                    for f in range(5):
                        probability[i, j, 2 + f] += share[watched] * given[f]


@compiled
def expect_watch(watch: np.ndarray, state: Any, items: np.ndarray, settings: Any) -> None:
    """Fill the expected watch time (n, N) float32 of every item of the catalogue, in seconds."""
    _, taste, trait, recent_tag, recent_item, exposures, _ = state
    numbers, mean_ratio = settings.numbers, settings.mean_ratio
    d = taste.shape[1]
    first, step_inverse = numbers[_FIRST], numbers[_STEP_INVERSE]
    score_at = np.empty(items.shape[0])
    repeats = np.zeros(int(items[:, d + _TAG].max()) + 2, np.float32)
    for i in range(taste.shape[0]):
        repeats[:] = 0.0
        for c in range(RECENT):
            if 0 <= recent_tag[i, c] < len(repeats):
                repeats[recent_tag[i, c]] += np.float32(1.0 / RECENT)
        own = trait[i, 0] - numbers[_FATIGUE] * min(exposures[i] / 50.0, 2.0)
        for x in range(items.shape[0]):
            tag = int(items[x, d + _TAG])
            mean = own + items[x, d + _APPEAL] + _dot(taste, i, items, x, d)
            if tag >= 0:
                mean -= numbers[_BORE] * repeats[tag]
            score_at[x] = mean
        for c in range(REMEMBERED):
            x = recent_item[i, c]
            new = x >= 0
            for earlier in range(c):
                new = new and recent_item[i, earlier] != x
            if new:
                score_at[x] -= numbers[_REPEAT]
        for x in range(items.shape[0]):
            bucket = int(items[x, d + _BUCKET])
            watch[i, x] = _watch_ratio(score_at[x], mean_ratio, bucket, first, step_inverse) * items[x, d + _DURATION]


@compiled
def _explicit(
    given: np.ndarray,
    numbers: np.ndarray,
    match: np.ndarray,
    trait: np.ndarray,
    i: int,
    items: np.ndarray,
    x: int,
    d: int,
    watched: int,
) -> None:
    """given[f]: probability of explicit feedback f in one class, summed over all earlier answers (at most 16)."""
    weight = np.zeros(32)
    weight[0] = 1.0
    logit = np.empty(5)
    for f in range(5):
        logit[f] = (numbers[_INTERCEPT + 4 * f + watched] + numbers[_MATCH + f] * match + trait[i, 1 + f]
                    + items[x, d + _EXPLICIT + f])  # fmt: skip
        total = 0.0
        for past in range(1 << f):
            now = logit[f]
            for g in range(f):
                if past >> g & 1:
                    now += numbers[_FOLLOW_ON + 5 * f + g]
            p = _sigmoid(now)
            total += weight[past] * p
            weight[past | 1 << f] = weight[past] * p
            weight[past] *= 1.0 - p
        given[f] = total
