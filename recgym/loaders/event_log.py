"""Your own event log: any table of users, items, times and answers, described by naming its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from recgym.catalog import APPEAL, Catalog
from recgym.errors import BadData, WrongSetting
from recgym.feedback import FEEDBACK, long_view, valid_play
from recgym.interaction_log import InteractionLog
from recgym.loaders.content import content_vectors, fill_durations, tag_numbers
from recgym.loaders.dataset import Dataset
from recgym.loaders.event_columns import Source, flags, ids, numbers, outside_ids, places, read_table, times_ms
from recgym.loaders.visits import after_gap, local_hour, number_visits

_YEAR_1973_MS = 100_000_000_000


@dataclass(frozen=True)
class Settings:
    """Where the events are, and which of their columns mean what. Every column name is that of your file."""

    events: str = "events.csv"
    """File of the events in the folder: .csv, .tsv (either with .gz) or .parquet, with column names."""
    user: str = "user_id"
    """Column of the user's id, whole numbers or text."""
    item: str = "item_id"
    """Column of the item's id, whole numbers or text."""
    time: str = "time_ms"
    """Column of the time of the event, counted from 1970 in UTC."""
    time_unit: Literal["ms", "s"] = "ms"
    """Unit of `time`."""
    watch_time: str = "watch_time_s"
    """Column of how long the item was watched."""
    watch_time_unit: Literal["s", "ms"] = "s"
    """Unit of `watch_time`."""
    duration: str = "duration_s"
    """Column of the item's length, in the items file if it is there, otherwise in the events file."""
    duration_unit: Literal["s", "ms"] = "s"
    """Unit of `duration`."""
    missing_duration: Literal["refuse", "fill"] = "refuse"
    """What to do about durations that are empty or 0: refuse the data, or fill in the median of the main tag."""
    feedback: Mapping[str, str] = field(default_factory=dict)
    """Feedback name -> column of 0/1 or true/false, such as {"like": "is_like"}. Where click or long_view is not
    mapped, it is derived from watch time and duration by the rules of `recgym.feedback`."""
    propensity: str | None = None
    """Column of the probability with which the slate was shown, in (0, 1]; empty = unknown."""
    session: str | None = None
    """Column that names the visit; None = a visit ends after `session_gap_min` minutes without an event."""
    session_gap_min: float = 30.0
    """Minutes without an event of the user after which a new session begins."""
    slates: bool = False
    """Whether events of one user with the same time were shown together as one slate, in the order of the file."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Name -> column to keep as `extra_<name>`, such as {"tab": "scenario"}."""
    utc_offset_h: float = 0.0
    """Hours by which local time is ahead of UTC; sets `extra_hour`."""
    items: str | None = None
    """File of the items; None = items are known from the events alone."""
    item_key: str | None = None
    """Column of the items file with the item's id; None = named like `item`."""
    unseen_items: bool = False
    """Whether the catalogue also holds the items of the items file that no event has."""
    tags: str | None = None
    """Column of tags such as "3,39" or "comedy,cats", in the items file if there is one, otherwise in the events."""
    tag_separator: str = ","
    """What separates several tags."""
    author: str | None = None
    """Column of the item's author, beside `tags`; None = every item has an author of its own."""
    profiles: str | None = None
    """File of the users with numeric columns; None = nothing is known of users and the profile has no column."""
    profile_key: str | None = None
    """Column of the profiles file with the user's id; None = named like `user`."""
    profile: tuple[str, ...] = ()
    """Numeric columns of the profiles file; each is shifted and scaled to mean 0 and deviation 1."""
    drop_duplicates: bool = True
    """Drop events that repeat another in all columns."""
    dimension: int = 16
    """Length of the content vectors."""

    def __post_init__(self) -> None:
        units = {"time_unit": ("ms", "s"), "watch_time_unit": ("s", "ms"), "duration_unit": ("s", "ms"),
                 "missing_duration": ("refuse", "fill")}  # fmt: skip
        for name, allowed in units.items():
            if getattr(self, name) not in allowed:
                raise WrongSetting(f"event_log {name} is {getattr(self, name)!r}; allowed: {' or '.join(allowed)}.")
        if self.dimension < 2 or self.session_gap_min <= 0:
            raise WrongSetting(
                f"event_log dimension {self.dimension} and session_gap_min {self.session_gap_min}: at least 2 and "
                f"above 0 are needed."
            )
        if bool(self.profile) != (self.profiles is not None):
            raise WrongSetting("event_log profiles (a file) and profile (its columns) go together; set both or none.")


def load(folder: Path, settings: Settings | None = None) -> Dataset:
    """Turn the event log in `folder` into a data set; the events file is read into memory as a whole.

    Events are put in the order of user and time, ties in the order of the file. Catalogue and population hold the
    items and users that occur, by rising id. `extra_duration_known` (Boolean) and `extra_hour` (Int8) are added.

    Raises:
        BadData: a missing file or column (the nearest name is suggested), NaN, a negative or impossible value; names
            file, row (from 1, without the header) and column.
    """
    settings = settings or Settings()
    notes: list[str] = []
    events = read_table(Path(folder) / settings.events)
    items = read_table(Path(folder) / settings.items) if settings.items else None
    user_ids = ids(events, settings.user, "user").unique().sort()
    item_ids = _item_ids(events, items, settings)
    facts = _Facts(events, items, item_ids, settings)
    catalog, known = _catalog(facts, outside_ids(item_ids, "item", notes), notes)
    table = _log_table(events, user_ids, facts, catalog, known, notes)
    log = InteractionLog(table, _feedback_names(settings), {"dataset": "event log", "files": str(events.path)})
    profile = _profiles(Path(folder), user_ids, settings)
    return Dataset(catalog, log, profile, settings.profile, outside_ids(user_ids, "user", notes), tuple(notes))


class _Facts:
    """Facts about the items, from the items file where it has the column, otherwise from the events."""

    def __init__(self, events: Source, items: Source | None, item_ids: pl.Series, settings: Settings) -> None:
        self.settings = settings
        self.n = len(item_ids)
        self.event_item = places(ids(events, settings.item, "item"), item_ids)
        self._events, self._items = events, items
        key = settings.item_key or settings.item
        self._row = places(ids(items, key, "item_key"), item_ids) if items else self.event_item

    def source(self, column: str) -> tuple[Source, np.ndarray]:
        """The table that has `column`, and the catalogue row (rows,) of each of its rows; -1 = no such item."""
        if self._items is not None and (
            column in self._items.table.columns or column not in self._events.table.columns
        ):
            return self._items, self._row
        return self._events, self.event_item

    def per_item(self, row: np.ndarray, values: pl.Series) -> pl.Series:
        """One value for each catalogue item: the first that is known, or null."""
        table = pl.DataFrame({"row": row, "value": values}).filter((pl.col("row") >= 0) & pl.col("value").is_not_null())
        first = table.unique("row", keep="first", maintain_order=True)
        return pl.DataFrame({"row": np.arange(self.n)}).join(first, on="row", how="left", maintain_order="left")[
            "value"
        ]


def _item_ids(events: Source, items: Source | None, settings: Settings) -> pl.Series:
    """The distinct ids of the catalogue, sorted; the items file must know each shown item, once."""
    shown = ids(events, settings.item, "item")
    if items is None:
        return shown.unique().sort()
    key = settings.item_key or settings.item
    listed = ids(items, key, "item_key")
    items.refuse(key, (~listed.is_first_distinct()).to_numpy(), "each item needs one row; this one has another above")
    place = places(shown, listed)
    events.refuse(settings.item, place < 0, f"{items.path.name} has no row for this item: add it")
    return (listed if settings.unseen_items else shown.unique()).sort()


def _catalog(facts: _Facts, outside: np.ndarray, notes: list[str]) -> tuple[Catalog, np.ndarray]:
    """The catalogue, and (N,) bool whether a duration was known."""
    settings = facts.settings
    tags = np.full((facts.n, 1), -1, np.int16)
    if settings.tags is not None:
        source, row = facts.source(settings.tags)
        tags, words, cut = tag_numbers(facts.per_item(row, source.need(settings.tags, "tags")), settings.tag_separator)
        notes += [f"tags are words, numbered in sorted order: {', '.join(words)}."] * bool(words)
        notes += [f"{cut} items have more than three tags: the first three are kept."] * bool(cut)
    author = outside
    if settings.author is not None:
        source, row = facts.source(settings.author)
        author_ids = facts.per_item(row, ids(source, settings.author, "author"))
        author = _author_numbers(author_ids)
    seconds = _durations(facts)
    known = np.nan_to_num(seconds) > 0
    if not known.all():
        notes.append(f"{(~known).sum()} of {facts.n} items have no duration: filled with the median of their main tag.")
    vector = content_vectors(tags, author, settings.dimension)
    appeal = np.zeros((facts.n, len(APPEAL)), np.float32)
    return Catalog(vector, fill_durations(seconds, tags[:, 0]), tags, outside, vector, appeal), known


def _author_numbers(author: pl.Series) -> np.ndarray:
    """(N,) int64: whole-number ids as they are, texts by their place in sorted order."""
    known = author.unique().sort()
    return author.to_numpy() if author.dtype == pl.Int64 else places(author, known)


def _durations(facts: _Facts) -> np.ndarray:
    """(N,) float64 seconds; NaN where unknown."""
    settings = facts.settings
    source, row = facts.source(settings.duration)
    fill = settings.missing_duration == "fill"
    seconds = numbers(source, settings.duration, "duration", settings.duration_unit, may_lack=fill)
    if not fill:
        source.refuse(
            settings.duration, (seconds == 0) & (row >= 0),
            "a duration is above 0; where 0 means unknown, set missing_duration to 'fill'",
        )  # fmt: skip
    positive = pl.Series(seconds).fill_nan(None)
    return facts.per_item(row, positive.set(positive == 0, None)).fill_null(np.nan).to_numpy()


def _feedback_names(settings: Settings) -> tuple[str, ...]:
    """Click, long view and the mapped names, in the order of `FEEDBACK`, then those of one's own."""
    named = {"click", "long_view", *settings.feedback}
    return tuple(name for name in FEEDBACK if name in named) + tuple(n for n in settings.feedback if n not in FEEDBACK)


def _log_table(
    events: Source, user_ids: pl.Series, facts: _Facts, catalog: Catalog, known: np.ndarray, notes: list[str]
) -> pl.DataFrame:
    """The columns of the interaction log, in order."""
    settings = facts.settings
    watch_time_s = numbers(events, settings.watch_time, "watch_time", settings.watch_time_unit)
    duration_s = catalog.duration_s[facts.event_item]
    columns = {
        "user": places(ids(events, settings.user, "user"), user_ids), "item": facts.event_item,
        "watch_time_s": watch_time_s, "time_ms": times_ms(events, settings.time, settings.time_unit),
    }  # fmt: skip
    if columns["time_ms"].max() < _YEAR_1973_MS:
        notes.append(f"all times lie before 1973: if {settings.time!r} is in seconds, set time_unit to 's'.")
    for name, rule in (("click", valid_play), ("long_view", long_view)):
        if name not in settings.feedback:
            columns[name] = rule(watch_time_s.astype(np.float32), duration_s)
            notes.append(f"{name} is derived from watch time and duration by the rule of recgym.feedback.")
    columns |= {name: flags(events, column, "feedback") for name, column in settings.feedback.items()}
    columns |= {"extra_duration_known": known[facts.event_item],
                "extra_hour": local_hour(columns["time_ms"], settings.utc_offset_h)}  # fmt: skip
    table = pl.DataFrame(columns).with_columns(
        events.need(column, "extra").alias(f"extra_{name}") for name, column in settings.extra.items()
    )
    if settings.propensity is not None:
        chance = numbers(events, settings.propensity, "propensity", "1", may_lack=True)
        events.refuse(settings.propensity, (chance == 0) | (chance > 1), "a probability in (0, 1] is needed")
        table = table.with_columns(pl.Series("propensity", chance).fill_nan(None))
    if settings.session is not None:
        table = table.with_columns(ids(events, settings.session, "session").alias("visit"))
    return _numbered(_without_copies(table, events, notes) if settings.drop_duplicates else table, settings)


def _without_copies(table: pl.DataFrame, events: Source, notes: list[str]) -> pl.DataFrame:
    first = events.table.select(pl.struct(pl.all()).is_first_distinct()).to_series()
    notes.append(f"{(~first).sum()} exact duplicate events dropped.")
    return table.filter(first)


def _numbered(table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The rows by user, visit and time, with `session`, `step` and `position`."""
    if "visit" in table.columns:
        begin = pl.col("time_ms").min().over("user", "visit").alias("begin")
        table = table.with_columns(begin).sort("user", "begin", "visit", "time_ms", maintain_order=True)
        new_visit = (table["visit"] != table["visit"].shift(1)).fill_null(True).to_numpy()
        table = table.drop("begin", "visit")
    else:
        table = table.sort("user", "time_ms", maintain_order=True)
        new_visit = after_gap(table["time_ms"].to_numpy(), settings.session_gap_min)
    user, time_ms = table["user"].to_numpy(), table["time_ms"].to_numpy()
    return table.with_columns(
        pl.Series(name, column) for name, column in number_visits(user, time_ms, new_visit, settings.slates).items()
    )


def _profiles(folder: Path, user_ids: pl.Series, settings: Settings) -> np.ndarray:
    """(n_users, P) float32: the chosen columns of the profiles file, each with mean 0 and deviation 1."""
    out = np.zeros((len(user_ids), len(settings.profile)), np.float32)
    if settings.profiles is None:
        return out
    source = read_table(folder / settings.profiles)
    key = settings.profile_key or settings.user
    listed = ids(source, key, "profile_key")
    source.refuse(key, (~listed.is_first_distinct()).to_numpy(), "each user needs one row; this one has another above")
    row = places(user_ids, listed)
    if (row < 0).any():
        lacking = user_ids.filter(pl.Series(row < 0))
        raise BadData(f"{source.path}: lacks {len(lacking)} users of the events, such as {lacking[0]!r}; add them.")
    for j, name in enumerate(settings.profile):
        values = numbers(source, name, "profile", "1", low=-np.inf)[row]
        out[:, j] = (values - values.mean()) / (values.std() or 1.0)
    return out
