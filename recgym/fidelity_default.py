"""The embedded users beside the published tables of the Kuaishou feed; there is no log to replay.

The simulator plays whole visits with two ways to choose: uniformly at random, which is to show the rates of
KuaiRand-Pure's random log, and well, which is to show those of the standard log's main feed. "Well" is the best of m
random items by their true chance of a valid play, m the smallest number with which people who have just arrived click
as often as in the standard log. Choosing by that chance favours no length: the duration buckets stay comparable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from recgym.errors import WrongSetting
from recgym.fidelity_measures import intraclass_correlation
from recgym.fidelity_parts import ALIKE, RARE, published_bucket
from recgym.fidelity_report import FidelityReport, Line, Target
from recgym.simulator import Simulator, take
from recgym.users.calibrated import EXPLICIT, CalibratedUsers
from recgym.users.defaults import calibrated_users
from recgym.users.kuaishou import HEAD_ROOM, RANDOM_RATE, STANDARD_RATE
from recgym.users.synthetic import synthetic_catalog
from recgym.users.watch_table import PUBLISHED_NAMES

BY_DURATION: Final = {
    "under 3 s": (0.380, 0.382, 0.376, 0.352, 0.342, 0.284, 0.293, 0.322, 0.348, 0.359),
    "95 % or more": (0.350, 0.312, 0.288, 0.245, 0.233, 0.192, 0.147, 0.102, 0.071, 0.047),
    "click": (0.384, 0.455, 0.466, 0.499, 0.522, 0.573, 0.551, 0.514, 0.483, 0.459),
    "long view": (0.355, 0.306, 0.304, 0.359, 0.383, 0.424, 0.402, 0.357, 0.325, 0.305),
}
"""Main feed of the standard log (datasets note, 2.2): shares of the exposures in each published duration bucket."""

MEDIAN_S: Final = (4.8, 5.1, 5.3, 6.4, 7.4, 10.2, 8.7, 7.0, 6.0, 5.3)
"""The same, median watch time in seconds."""

COMPLETION: Final = ((0.05, 0.25, 0.5, 0.75, 0.9, 0.95), (0.006, 0.029, 0.125, 0.666, 1.037, 1.138))
"""The same, all durations: quantiles of watch time / duration."""

RETURNS: Final = (0.617, 0.165, 0.079, 0.047)
"""Shares of gaps of 1, 2, 3 and 4 days between active days of KuaiRand-Pure (datasets note, 2.5)."""

USER_ALIKE: Final = {"click": 0.145, "long_view": 0.132, "complete": 0.083, "like": 0.206}
ITEM_ALIKE: Final = {"click": 0.068, "long_view": 0.067, "complete": 0.133, "like": 0.026}
"""Published intraclass correlations of the main feed (datasets note, 2.4)."""

_RANDOM, _RANDOM_RARE = Target(0.10), Target(0.25)
_STANDARD, _SHARE, _RETURN = Target(0.25), Target(0.25, absolute=0.05), Target(0.25, absolute=0.05)
_MOST_CANDIDATES = 64

Choose = Callable[[Any, np.ndarray], np.ndarray]
"""Called as choose(state, luck) with luck (n, 64) uniform numbers; answers item (n, 1) int32."""


class Play(NamedTuple):
    """All exposures of a crowd. user, item: (rows,). watch: (rows,) s. drawn: (rows, 8) bool and chance: (rows, 7).

    drawn is click, long_view, the five explicit feedbacks and complete; chance is the true probability of the first
    seven. gap_days: of those who left.
    """

    user: np.ndarray
    item: np.ndarray
    watch: np.ndarray
    drawn: np.ndarray
    chance: np.ndarray
    gap_days: np.ndarray


def default_fidelity(
    people: int = 4_000, seed: int = 0, *, users: CalibratedUsers | None = None,
    progress: Callable[[float], None] | None = None,
) -> FidelityReport:  # fmt: skip
    """Play the embedded default world and compare it with the published tables.

    Args:
        people: how many sessions are played with each way to choose.
        seed: session i has the seed `seed * people + i`.
        users: other calibrated users for the embedded catalogue; None = the embedded ones.
        progress: called with the share that is done.

    Raises:
        WrongSetting: fewer than 100 people.
    """
    if people < 100:
        raise WrongSetting(f"default_fidelity people is {people}; at least 100 are needed.")
    simulator = Simulator(users or calibrated_users(), synthetic_catalog())
    seeds = seed * people + np.arange(people)
    tell = progress or (lambda share: None)
    at_random = _play(simulator, seeds, lambda state, luck: _items(simulator, luck)[:, :1])
    tell(0.4)
    count, reached = _candidates_needed(simulator, seeds)

    def well(state: Any, luck: np.ndarray) -> np.ndarray:
        return _best(simulator, state, _items(simulator, luck)[:, :count])

    chosen = _play(simulator, seeds, well)
    tell(1.0)
    lines = [*_random_lines(at_random), *_standard_lines(simulator, chosen)]
    lines.append(_head_room(at_random, chosen))
    notes = (
        f"{people} sessions at random ({len(at_random.item)} exposures), {people} with the best of {count} random "
        f"items ({len(chosen.item)} exposures); newcomers then click with probability {reached:.3f}.",
        "Rates are means of the users' true probabilities at each exposure, complete is counted.",
        "The good choice shows each user other items than the platform did, and only those that this user likes: items "
        "then differ less from each other than in the log ('items alike').",
        "Numbers of the log are published ones, without intervals. No public log states visit lengths; here a visit "
        f"has {len(at_random.item) / people:.1f} exposures at random, {len(chosen.item) / people:.1f} chosen well.",
    )  # fmt: skip
    return FidelityReport(
        "Embedded users beside the published tables", tuple(lines), _curves(at_random, simulator, chosen), notes
    )


def _items(simulator: Simulator, luck: np.ndarray) -> np.ndarray:
    return (luck * len(simulator.catalog)).astype(np.int32)


def _best(simulator: Simulator, state: Any, item: np.ndarray) -> np.ndarray:
    """(n, 1) of the items (n, m) the one with the largest true chance of a valid play."""
    chance = simulator.users.expect(state, item, simulator.catalog).probability[:, :, 0]  # type: ignore[attr-defined]
    return np.take_along_axis(item, chance.argmax(axis=1)[:, None], axis=1)


def _candidates_needed(simulator: Simulator, seeds: np.ndarray) -> tuple[int, float]:
    """How many random items to choose the best of, and the chance of a valid play that newcomers then have."""
    crowd = simulator.start(seeds)
    item = _items(simulator, crowd.noise().uniform("published", _MOST_CANDIDATES))
    expected = simulator.users.expect(crowd.state, item, simulator.catalog)  # type: ignore[attr-defined]
    best = np.maximum.accumulate(expected.probability[:, :, 0], axis=1).mean(axis=0)
    count = int(np.searchsorted(best, STANDARD_RATE["click"]).clip(max=_MOST_CANDIDATES - 1))
    return count + 1, float(best[count])


def _play(simulator: Simulator, seeds: np.ndarray, choose: Choose) -> Play:
    """Whole sessions, each user until the user leaves or the simulator's last step."""
    crowd = simulator.start(seeds)
    going, parts, gaps = np.arange(len(seeds)), [], []
    item = np.zeros((len(seeds), 1), np.int32)
    while len(going):
        luck = crowd.noise().rows(going).uniform("published", _MOST_CANDIDATES)
        state = take(crowd.state, going)
        item[going] = shown = choose(state, luck)
        chance = simulator.users.expect(state, shown, simulator.catalog).probability[:, 0]  # type: ignore[attr-defined]
        turn = simulator.step(crowd, item)
        watch = turn.response.watch_time_s[going, 0]
        complete = watch >= simulator.catalog.duration_s[shown[:, 0]]
        drawn = np.column_stack([turn.response.feedback[going, 0], complete])
        parts.append([crowd.user[going], shown[:, 0], watch, drawn, chance])
        gaps.append(turn.return_gap_days[going[turn.left[going]]])
        going = going[~(turn.terminated | turn.truncated)[going]]
    user, shown, watch, drawn, chance = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Play(user, shown, watch, drawn, chance, np.concatenate(gaps))


def _rates(play: Play) -> dict[str, float]:
    names = ("click", "long_view", *EXPLICIT)
    rates = {name: float(play.chance[:, f].mean(dtype=float)) for f, name in enumerate(names)}
    return rates | {"complete": float(play.drawn[:, 7].mean())}


def _random_lines(play: Play) -> list[Line]:
    rates = _rates(play)
    return [(_RANDOM_RARE if name in RARE else _RANDOM).line("random policy", name, published, rates[name])
            for name, published in RANDOM_RATE.items()]  # fmt: skip


def _head_room(at_random: Play, chosen: Play) -> Line:
    """Valid plays of the good choice over those at random, beside the standard log's over the random log's."""
    ratio = _rates(chosen)["click"] / _rates(at_random)["click"]
    return _STANDARD.line("good policy", "clicks, good over random", HEAD_ROOM, ratio)


def _standard_lines(simulator: Simulator, play: Play) -> list[Line]:
    rates = _rates(play)
    lines = [_STANDARD.line("good policy", name, published, rates[name]) for name, published in STANDARD_RATE.items()]
    duration = simulator.catalog.duration_s[play.item]
    bucket, ratio = published_bucket(duration), play.watch / duration
    seen = {
        "under 3 s": play.watch < 3,
        "95 % or more": ratio >= 0.95,
        "click": play.drawn[:, 0],
        "long view": play.drawn[:, 1],
    }
    for b, name in enumerate(PUBLISHED_NAMES):
        rows = bucket == b
        for what, column in seen.items():
            share = float(column[rows].mean()) if rows.any() else float("nan")
            lines.append(_SHARE.line("watching by duration", f"{name}, {what}", BY_DURATION[what][b], share))
        median = float(np.median(play.watch[rows])) if rows.any() else float("nan")
        lines.append(_STANDARD.line("watching by duration", f"{name}, median s", MEDIAN_S[b], median))
    for at, published in zip(*COMPLETION, strict=True):
        lines.append(_SHARE.line("completion", f"p{at * 100:.0f}", published, float(np.quantile(ratio, at))))
    lines += _alike_lines(play)
    for day, published in enumerate(RETURNS, 1):
        lines.append(_RETURN.line("return", f"after {day} days", published, float(np.mean(play.gap_days == day))))
    return lines


def _alike_lines(play: Play) -> list[Line]:
    names = ("click", "long_view", *EXPLICIT, "complete")
    lines = []
    for part, group, table in (("users alike", play.user, USER_ALIKE), ("items alike", play.item, ITEM_ALIKE)):
        for name, published in table.items():
            value = intraclass_correlation(play.drawn[:, names.index(name)], group)
            lines.append(ALIKE.line(part, name, published, value))
    return lines


def _curves(at_random: Play, simulator: Simulator, chosen: Play) -> dict[str, Any]:
    rates = _rates(at_random)
    bars = [{"name": name, "real": real, "low": None, "high": None, "simulated": rates[name]}
            for name, real in RANDOM_RATE.items()]  # fmt: skip
    return {"rates": bars}
