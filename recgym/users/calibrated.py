"""Calibrated short-video users: watch time by a Gaussian engagement score, feedbacks by what was watched.

One score per exposure decides how long a video is watched,

    y = level + user + appeal + taste . vector - boredom * repeats - fatigue * t + sigma * normal,

and a table of watch ratios, one row per duration bucket, turns y into watch_time / duration. The row is the
quantile function of that bucket in units of the score, so that skips, partial plays, the spike of completed plays
and the loop tail all come out in their published (or fitted) proportions, and their correlations within a user
and within an item come from the shares of `user`, `appeal` and `taste` in the variance of y. `click` and
`long_view` are derived from watch time and duration by the published rules. The five explicit feedbacks are
drawn one after the other from logistic models of what was watched (four classes), of the person, of the item, of the
match, and of the explicit feedbacks already given. Sources of the numbers: `recgym.users.kuaishou`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from recgym.catalog import Catalog
from recgym.errors import BadData, WrongSetting, WrongShape
from recgym.feedback import FEEDBACK, Response
from recgym.noise import Noise
from recgym.storage import read_arrays, write_arrays
from recgym.user_model import Expected, Habits
from recgym.users import calibrated_kernels as kernels
from recgym.users import calibrated_step

if TYPE_CHECKING:
    from recgym.bookkeeping import Outcome
    from recgym.session import Patience
    from recgym.simulator import Crowd

_HATE = FEEDBACK.index("hate")
_CHANGING = ("taste", "recent_tag", "recent_item", "exposures", "shown")

EXPLICIT: Final = ("like", "follow", "comment", "forward", "hate")
"""Explicit feedbacks in the order in which they are drawn."""

TRAITS: Final = ("watch", *EXPLICIT)
"""Columns of `Population.trait`."""

WATCHED: Final = ("no click", "click, not long", "long, not complete", "complete")
"""What was watched, the four classes that explicit feedback depends on."""


@dataclass(frozen=True, eq=False)
class CalibratedParameters:
    """All numbers of the model, apart from people and items.

    Scores (`level`, `*_scale`, `sigma`, `boredom`, `fatigue`) are in units of the table's argument.
    """

    bucket_end_s: np.ndarray
    """(B - 1,) float32, increasing: durations at which one bucket ends and the next begins."""

    score: np.ndarray
    """(2,) float32: the score at the first and at the last column of `ratio`; columns are evenly spaced."""

    ratio: np.ndarray
    """(B, G) float32: watch_time / duration at each score, not decreasing along a row, not negative."""

    watch: np.ndarray
    """(8,) float32: level, user scale, appeal scale, taste scale, sigma, boredom, fatigue, drift (see `WATCH`)."""

    intercept: np.ndarray
    """(5, 4) float32: log-odds of each explicit feedback in each class of `WATCHED`."""

    match_slope: np.ndarray
    """(5,) float32: change of log-odds per unit of appeal + taste in the score."""

    user_scale: np.ndarray
    """(5,) float32: standard deviation of the log-odds between users."""

    appeal_scale: np.ndarray
    """(5,) float32: standard deviation of the log-odds between items."""

    follow_on: np.ndarray
    """(5, 5) float32: log-odds that feedback (row) gains when an earlier one (column) was given."""

    repeat: np.ndarray = field(default_factory=lambda: np.array([0.6], np.float32))
    """(1,) float32: loss of score when the item itself is among the last 20. A repeated exposure is clicked by .28
    instead of .494 of the users (datasets note, 2.6): a difference of .60 in normal quantiles."""

    def __post_init__(self) -> None:
        buckets, columns = self.ratio.shape
        shapes = {"bucket_end_s": (buckets - 1,), "score": (2,), "watch": (len(WATCH),), "intercept": (5, 4),
                  "match_slope": (5,), "user_scale": (5,), "appeal_scale": (5,), "follow_on": (5, 5),
                  "repeat": (1,)}  # fmt: skip
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise WrongShape(f"CalibratedParameters.{name}: shape {getattr(self, name).shape}, not {shape}.")
        for f in fields(self):
            if not np.isfinite(getattr(self, f.name)).all():
                raise BadData(f"CalibratedParameters.{f.name} holds NaN or infinity.")
        if columns < 2 or (np.diff(self.ratio, axis=1) < 0).any() or (self.ratio < 0).any():
            raise BadData("CalibratedParameters.ratio: each row must be non-negative and must not decrease.")
        if (np.diff(self.bucket_end_s) <= 0).any():
            raise BadData("CalibratedParameters.bucket_end_s must increase.")
        if not self.score[0] < self.score[1] or self.watch_value("sigma") <= 0:
            raise BadData(
                f"CalibratedParameters: score {self.score.tolist()}, sigma {self.watch_value('sigma')}; the score must "
                "rise and sigma must be above 0."
            )

    def replace(self, **changes: np.ndarray) -> CalibratedParameters:
        """The same parameters with some arrays exchanged."""
        return CalibratedParameters(**({f.name: getattr(self, f.name) for f in fields(self)} | changes))

    def watch_value(self, name: str) -> float:
        """One entry of `watch` by its name in `WATCH`."""
        return float(self.watch[WATCH.index(name)])

    def bucket(self, duration_s: np.ndarray) -> np.ndarray:
        """(n,) int64: the duration bucket of each duration."""
        return np.asarray(np.searchsorted(self.bucket_end_s, duration_s, side="left"))

    def threshold(self, duration_s: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """(n,) float64: the score from which on an item of this duration is watched for `ratio` of it."""
        grid = np.linspace(self.score[0], self.score[1], self.ratio.shape[1])
        out = np.empty(len(duration_s))
        bucket = self.bucket(duration_s)
        for b in np.unique(bucket):
            rows = bucket == b
            out[rows] = _score_at(self.ratio[b].astype(float), grid, ratio[rows])
        return out


WATCH: Final = ("level", "user", "appeal", "taste", "sigma", "boredom", "fatigue", "drift")
"""Names of `CalibratedParameters.watch`.

boredom: loss of score when all of the last 10 items carried the item's main tag; fatigue: loss over 50 exposures of a
visit; drift: share of the taste vector that moves towards an item watched to its end.
"""


def _score_at(row: np.ndarray, grid: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Smallest score whose (interpolated) ratio reaches `wanted`; beyond the table, its ends widened by 10."""
    right = np.searchsorted(row, wanted, side="left")
    inside = np.clip(right, 1, len(row) - 1)
    low, high = row[inside - 1], row[inside]
    part = np.where(high > low, (wanted - low) / np.where(high > low, high - low, 1), 1.0)
    score = grid[inside - 1] + np.clip(part, 0, 1) * (grid[1] - grid[0])
    return np.asarray(np.where(right == 0, grid[0] - 10, np.where(right == len(row), grid[-1] + 10, score)))


@dataclass(frozen=True, eq=False)
class Population:
    """The people. Arrays share axis 0; a person's row is the number `UserModel.start` takes.

    taste: (U, d) float32, standard-normal-like coordinates. Hidden from agents.
    trait: (U, 6) float32, standard-normal-like scores, columns in `TRAITS`. Hidden from agents.
    profile: (U, P) float32, what the platform knows.
    patience, return_rate: (U,) float32, see `Habits`.
    outside_id: (U,) int64, the ids of the data set the people come from.
    """

    taste: np.ndarray
    trait: np.ndarray
    profile: np.ndarray
    patience: np.ndarray
    return_rate: np.ndarray
    outside_id: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.taste)
        shapes = {"trait": (n, len(TRAITS)), "patience": (n,), "return_rate": (n,), "outside_id": (n,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise WrongShape(f"Population.{name} has shape {getattr(self, name).shape}; {shape} was expected.")
        for f in fields(self):
            if not np.isfinite(getattr(self, f.name)).all():
                raise BadData(f"Population.{f.name} holds NaN or infinity.")
        for name in ("patience", "return_rate"):
            if (getattr(self, name) <= 0).any():
                row = int((getattr(self, name) <= 0).argmax())
                raise BadData(f"Population.{name} is {getattr(self, name)[row]} in row {row}; it must be above 0.")

    def __len__(self) -> int:
        return len(self.taste)


class CalibratedState(NamedTuple):
    """How n users feel; all arrays are (n, ...).

    user: (n,) int64. taste: (n, d) float32, already scaled. trait: (n, 6) float32, already scaled.
    recent_tag: (n, 10) int16, a ring of this visit, -1 = empty. recent_item: (n, 20) int32, a ring of the episode, -1 =
    empty. exposures: (n,) int32, in this visit. shown: (n,) int32, in this episode.
    """

    user: np.ndarray
    taste: np.ndarray
    trait: np.ndarray
    recent_tag: np.ndarray
    recent_item: np.ndarray
    exposures: np.ndarray
    shown: np.ndarray


class CalibratedUsers:
    """A `UserModel` of short-video users with calibrated watch time and seven feedbacks.

    Args:
        population: the people.
        parameters: the numbers of the model.
    """

    feedback: tuple[str, ...] = FEEDBACK
    profile_is_static = True
    """`observe` gives a person the same profile at every step, so the simulator asks once an episode."""

    def __init__(self, population: Population, parameters: CalibratedParameters) -> None:
        if population.taste.shape[1] % 4:
            raise WrongSetting(f"taste has {population.taste.shape[1]} coordinates; a multiple of 4 is needed.")
        self.population = population
        self.parameters = parameters
        self.n_users = len(population)
        level, user, _, taste, *_ = parameters.watch
        trait_scale = np.concatenate([[user], parameters.user_scale]).astype(np.float32)
        trait_shift = np.array([level, 0, 0, 0, 0, 0], np.float32)
        self._trait = population.trait * trait_scale + trait_shift
        self._taste = population.taste * np.float32(taste / np.sqrt(population.taste.shape[1]))
        self._packed_for: Catalog | None = None
        self._items = np.zeros((0, 0), np.float32)
        self._settings = kernels.Settings.of(parameters)

    def items(self, catalog: Catalog) -> np.ndarray:
        """(N, width) float32: one packed row per item, 64-byte aligned (see `calibrated_kernels`)."""
        if self._packed_for is not catalog:
            if catalog.appeal_vector.shape[1] != self.population.taste.shape[1]:
                raise WrongShape(
                    f"the catalogue's appeal_vector has {catalog.appeal_vector.shape[1]} coordinates an item, "
                    f"the users {self.population.taste.shape[1]}; they must be equal."
                )
            self._items = kernels.pack_items(catalog, self.parameters)
            self._packed_for = catalog
        return self._items

    def start(self, user: np.ndarray, noise: Noise) -> CalibratedState:
        """See `UserModel.start`."""
        n, d = len(user), self._taste.shape[1]
        state = CalibratedState(
            user=np.empty(n, np.int64),
            taste=np.empty((n, d), np.float32),
            trait=np.empty((n, len(TRAITS)), np.float32),
            recent_tag=np.empty((n, kernels.RECENT), np.int16),
            recent_item=np.empty((n, kernels.REMEMBERED), np.int32),
            exposures=np.empty(n, np.int32),
            shown=np.empty(n, np.int32),
        )
        self.start_into(state, np.arange(n), user)
        return state

    def start_into(self, state: CalibratedState, rows: np.ndarray, user: np.ndarray) -> None:
        """Write the state of persons `user` (r,) into `rows` (r,) of a state, in place."""
        kernels.start_rows(rows, np.asarray(user, np.int64), self._taste, self._trait, *state)

    def observe(self, state: CalibratedState) -> np.ndarray:
        """See `UserModel.observe`."""
        return self.profile_of(state.user)

    def profile_of(self, user: np.ndarray) -> np.ndarray:
        """(n, P) float32: the profile of persons `user` (n,)."""
        return np.asarray(self.population.profile[user])

    def habits(self, user: np.ndarray) -> Habits:
        """See `HabitualUserModel.habits`."""
        return Habits(self.population.patience[user], self.population.return_rate[user])

    def respond(self, state: CalibratedState, item: np.ndarray, catalog: Catalog, noise: Noise) -> Response:
        """See `UserModel.respond`."""
        items = self.items(catalog)
        watch = np.empty(item.shape, np.float32)
        feedback = np.empty((*item.shape, len(FEEDBACK)), np.bool_)
        kernels.respond(watch, feedback, state, item, items, self._settings, noise.key, noise.step)
        return Response(watch, feedback)

    def change(
        self, state: CalibratedState, item: np.ndarray, response: Response, catalog: Catalog, noise: Noise
    ) -> CalibratedState:
        """See `UserModel.change`: taste drifts to what was watched, tags are remembered, fatigue grows."""
        after = state._replace(**{name: getattr(state, name).copy() for name in _CHANGING})
        kernels.change_rows(0, len(item), after.taste, after.recent_tag, after.recent_item, after.exposures,
                            after.shown, item, response.watch_time_s, self.items(catalog),
                            self._settings.numbers)  # fmt: skip
        return after

    def rest(self, state: CalibratedState, gap_days: np.ndarray) -> CalibratedState:
        """See `RestingUserModel.rest`: fatigue and boredom are gone after a day away, the drifted taste stays."""
        return state._replace(
            recent_tag=np.full_like(state.recent_tag, -1), exposures=np.zeros_like(state.exposures)
        )  # fmt: skip

    def expect(self, state: CalibratedState, item: np.ndarray, catalog: Catalog) -> Expected:
        """See `ExpectingUserModel.expect`: exact integrals over the noise of the score, items taken one by one."""
        watch = np.empty(item.shape, np.float32)
        probability = np.empty((*item.shape, len(FEEDBACK)), np.float32)
        item = np.ascontiguousarray(item, np.int32)
        kernels.expect(watch, probability, state, item, self.items(catalog), self._settings)
        return Expected(watch, probability)

    def expect_watch_time_s(self, state: CalibratedState, catalog: Catalog) -> np.ndarray:
        """(n, N) float32: the expected seconds of every item of the catalogue; much faster than `expect`."""
        watch = np.empty((len(state.taste), len(catalog)), np.float32)
        kernels.expect_watch(watch, state, self.items(catalog), self._settings)
        return watch

    def step_with(
        self,
        session: Patience,
        crowd: Crowd,
        catalog: Catalog,
        item: np.ndarray,
        watch: np.ndarray,
        feedback: np.ndarray,
        out: Outcome,
        weights: np.ndarray,
        ends: np.ndarray,
    ) -> int:
        """A whole step in one compiled pass: `respond`, `Patience.leaves`, `change` and the simulator's bookkeeping.

        The same loops in the same order as one by one, hence the same bits; `crowd` is changed in place. Returns how
        many users left.
        """
        step: Any = calibrated_step.step
        n_left: int = step(
            *crowd.state[1:], self.items(catalog), self._settings.ratio, self._settings.numbers, crowd.habits.patience,
            _HATE, catalog.tag, crowd.key, session.numbers, *out, *crowd.ledger(), item, watch, feedback,
            catalog.vector, catalog.duration_s, catalog.log_duration, weights, ends,
        )  # fmt: skip
        return n_left

    def save(self, folder: Path) -> None:
        """Write people and parameters into `folder` as two npz files."""
        for name, part in (("population", self.population), ("parameters", self.parameters)):
            write_arrays(folder / f"{name}.npz", {f.name: getattr(part, f.name) for f in fields(part)})

    @classmethod
    def load(cls, folder: Path) -> CalibratedUsers:
        """Read what `save` wrote; `BadData` names a file that is missing or broken."""
        people = read_arrays(folder / "population.npz", [f.name for f in fields(Population)])
        numbers = read_arrays(folder / "parameters.npz", [f.name for f in fields(CalibratedParameters)])
        return cls(Population(**people), CalibratedParameters(**numbers))
