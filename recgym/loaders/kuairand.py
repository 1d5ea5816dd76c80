"""KuaiRand Pure, 1K and 27K: a real short-video feed with watch time, seven feedbacks and random exposure.

Gao et al., "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos", CIKM 2022,
https://zenodo.org/records/10439422, CC BY-SA 4.0. RecGym ships none of it.

What is done with the data (the loader's `notes` give the counts):

- Files are chosen as `recgym.loaders.kuairand_files.find_files` says. Files that repeat rows of others, such as
  heads of 1,000 rows, are read only when `Settings.logs` names them; do not name them beside the full log.
- Exact duplicate rows (all 19 columns) are dropped. The files are not sorted: rows are put in the order of user and
  time_ms, ties in the order of the files.
- `duration_ms` 0 means unknown. Durations come from the video table, holes filled with the median of the main tag;
  `extra_duration_known` says where it was known.
- `time_ms` is UTC; `extra_hour` is the hour in Beijing (UTC + 8 h). `date` and `hourmin` belong to the hour at which
  the record was written, up to an hour later: they select rows and are not used for order.
- Rows of one user with the same time_ms are one request, several places of one slate.
- Pure has only the rows of 7,583 pool videos, so its visits cannot be seen: a session is one user and Beijing day.
  In 1K and 27K a session ends where 30 minutes pass without a selected row.
- Watch time may exceed the duration (the video looped). Labels are kept as published, not derived from watch time.
- The statistics table covers the time of the logs, so it would leak, and is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from recgym.catalog import Catalog
from recgym.errors import BadData, WrongSetting
from recgym.feedback import FEEDBACK
from recgym.interaction_log import InteractionLog
from recgym.loaders.dataset import Dataset
from recgym.loaders.kuairand_files import SIZES, Files, Selection, find_files, read_logs, read_video_ids
from recgym.loaders.kuairand_tables import PROFILE_NAMES, Videos, read_users, read_videos
from recgym.loaders.visits import after_gap, dense_rows, local_hour, number_visits, on_new_day

BEIJING_H = 8.0
"""Hours by which Beijing is ahead of UTC."""

_FEEDBACK_COLUMNS = ("is_click", "long_view", "is_like", "is_follow", "is_comment", "is_forward", "is_hate")


@dataclass(frozen=True)
class Settings:
    """Which part of KuaiRand to read."""

    variant: Literal["pure", "1k", "27k"] | None = None
    """Which release; None = the one the folder holds."""
    logs: tuple[str, ...] = ()
    """Names of log files to read instead of the official ones; their rows must not overlap."""
    source: Literal["standard", "random", "both"] = "standard"
    """Rows of the platform's own recommendations, of the randomly exposed videos, or both."""
    tab: int | None = 1
    """Scenario, 0 to 14; 1 is the main single-column feed. None = all."""
    first_date: int | None = None
    """First day to keep, YYYYMMDD in Beijing; None = from the beginning."""
    last_date: int | None = None
    """Last day to keep, YYYYMMDD in Beijing; None = to the end."""
    user_share: float = 1.0
    """Share of the users to keep, above 0 and up to 1, the same ones every time; makes 27K fit into memory."""
    users: Literal["seen", "all"] = "seen"
    """Users with a selected row, or the whole user table."""
    items: Literal["seen", "pool", "all"] = "seen"
    """Videos with a selected row; those of the random-exposure pool (other rows are dropped); or the whole table."""
    drop_duplicates: bool = True
    """Drop rows that repeat another in all 19 columns."""
    dimension: int = 16
    """Length of the content vectors."""
    session_gap_min: float = 30.0
    """Minutes without a row after which a new session begins; 1K and 27K only."""
    chunk_rows: int = 500_000
    """About how many rows are parsed at a time."""

    def __post_init__(self) -> None:
        allowed = {
            "variant": (None, *SIZES), "source": ("standard", "random", "both"), "users": ("seen", "all"),
            "items": ("seen", "pool", "all"), "tab": (None, *range(15)),
        }  # fmt: skip
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise WrongSetting(
                    f"kuairand {name} is {getattr(self, name)!r}; allowed: {', '.join(map(str, values))}."
                )
        ranges = {
            "user_share": 0 < self.user_share <= 1, "dimension": self.dimension >= 2,
            "chunk_rows": self.chunk_rows >= 1, "session_gap_min": self.session_gap_min > 0,
        }  # fmt: skip
        for name, good in ranges.items():
            if not good:
                raise WrongSetting(
                    f"kuairand {name} is {getattr(self, name)}; it is out of range, see Settings.{name}."
                )
        if self.first_date is not None and self.last_date is not None and self.first_date > self.last_date:
            raise WrongSetting(f"first_date {self.first_date} is after last_date {self.last_date}; swap them.")


def load(folder: Path, settings: Settings | None = None) -> Dataset:
    """Read KuaiRand from `folder`: the archive's folder, its `data` folder, or the folder that holds it.

    The log has feedback `recgym.feedback.FEEDBACK`, `time_ms`, and `extra_duration_known` (Boolean), `extra_hour`
    (Int8, Beijing), `extra_is_random` (Boolean) and `extra_tab` (Int8). The profile has the ten columns
    `recgym.loaders.kuairand_tables.PROFILE_NAMES`.

    Raises:
        BadData: missing, damaged or foreign files; names file, line and column.
        WrongSetting: settings that contradict the folder.
    """
    settings = settings or Settings()
    files = find_files(Path(folder), settings.variant, settings.logs)
    paths = _chosen_logs(files, settings)
    pool = _pool(files, settings)
    select = Selection(settings.tab, settings.first_date, settings.last_date, settings.user_share, pool)
    rows = read_logs(paths, files.variant, select, settings.drop_duplicates, settings.chunk_rows)
    notes = [f"{rows.height} rows selected from {', '.join(path.name for path in paths)}."]
    rows = _in_order(rows, settings, notes)
    seen = rows["video_id"].unique().sort().to_numpy().astype(np.int64)
    wanted = {"seen": seen, "pool": pool, "all": None}[settings.items]
    videos = read_videos(files.videos, wanted, settings.dimension, settings.chunk_rows)
    people = rows["user_id"].unique().sort().to_numpy().astype(np.int64)
    users = read_users(files.users, people if settings.users == "seen" else None, settings.chunk_rows)
    _refuse_unknown(seen, videos.catalog.outside_id, "video_id", files.videos)
    _refuse_unknown(people, users.outside_id, "user_id", files.users)
    notes += [*users.notes, *videos.notes]
    table = _log_table(rows, videos, users.outside_id, files.variant, settings.session_gap_min, notes)
    source = {"dataset": f"KuaiRand-{files.variant}", "files": ", ".join(path.name for path in paths),
              "policy": f"Kuaishou ({settings.source} exposure)", "licence": "CC BY-SA 4.0",
              "selection": f"tab {settings.tab}, dates {settings.first_date} .. {settings.last_date}, "
                           f"user share {settings.user_share}"}  # fmt: skip
    log = InteractionLog(table, FEEDBACK, source)
    return Dataset(videos.catalog, log, users.profile, PROFILE_NAMES, users.outside_id, tuple(notes))


def _chosen_logs(files: Files, settings: Settings) -> tuple[Path, ...]:
    wanted = {"standard": files.standard, "random": files.random, "both": files.standard + files.random}
    paths = wanted[settings.source]
    if not paths or (settings.source == "both" and not files.random):
        there = ", ".join(path.name for path in files.standard + files.random) or "none"
        raise BadData(
            f"{files.users.parent}: no log for source {settings.source!r} of KuaiRand-{files.variant}; official logs "
            f"here: {there}. Copy log_{'random' if files.standard else 'standard'}_... into it, or change source."
        )
    return paths


def _pool(files: Files, settings: Settings) -> np.ndarray | None:
    """Sorted ids of the pool videos, where only those are wanted; Pure consists of them."""
    if settings.items != "pool" or files.variant == "pure":
        return None
    if not files.random:
        raise BadData(
            f"{files.users.parent}: items 'pool' needs the random log of KuaiRand-{files.variant}, which defines the "
            f"pool; copy log_random_4_22_to_5_08_{files.variant}.csv into the folder or choose items 'seen'."
        )
    return read_video_ids(files.random, settings.chunk_rows)


def _in_order(rows: pl.DataFrame, settings: Settings, notes: list[str]) -> pl.DataFrame:
    """The rows by user and time, exact duplicates dropped."""
    rows = rows.sort("user_id", "time_ms", maintain_order=True)
    if not settings.drop_duplicates:
        return rows
    unique = rows.unique(subset=["user_id", "video_id", "time_ms", "row_hash"], keep="first", maintain_order=True)
    notes.append(f"{rows.height - unique.height} exact duplicate rows dropped.")
    return unique.drop("row_hash")


def _refuse_unknown(seen: np.ndarray, known: np.ndarray, what: str, table: Path) -> None:
    lacking = np.setdiff1d(seen, known)
    if len(lacking):
        raise BadData(
            f"{table}: lacks {len(lacking)} {what} values that occur in the log, such as "
            f"{', '.join(str(number) for number in lacking[:5])}. Take log and table from one archive."
        )


def _log_table(
    rows: pl.DataFrame, videos: Videos, user_ids: np.ndarray, variant: str, gap_min: float, notes: list[str]
) -> pl.DataFrame:
    """The columns of the interaction log; `rows` are in order."""
    catalog: Catalog = videos.catalog
    user, item = dense_rows(rows["user_id"], user_ids), dense_rows(rows["video_id"], catalog.outside_id)
    time_ms = rows["time_ms"].to_numpy()
    pure = variant == "pure"
    cut = on_new_day(time_ms, BEIJING_H) if pure else after_gap(time_ms, gap_min)
    known = rows["duration_ms"].to_numpy() > 0
    differs = known & (np.abs(rows["duration_ms"].to_numpy() / 1000.0 - catalog.duration_s[item]) > 0.01)
    looped = known & (rows["play_time_ms"] > rows["duration_ms"]).to_numpy()
    notes += [
        "Pure holds pool videos only, so visits cannot be seen: a session is one user and Beijing day." if pure
        else f"A session ends where {gap_min:g} minutes pass without a selected row.",
        f"{(~known).sum()} rows have duration 0 (unknown).",
        f"{looped.sum()} rows have a watch time above the duration (loops); kept.",
    ]  # fmt: skip
    notes += [f"{differs.sum()} rows have another duration than the video table; the table wins."] * bool(differs.any())
    return pl.DataFrame({
        "user": user, "item": item.astype(np.int32),
        **number_visits(user, time_ms, cut, slates=True),
        "watch_time_s": (rows["play_time_ms"].to_numpy() / 1000.0).astype(np.float32),
        **{name: rows[column] for name, column in zip(FEEDBACK, _FEEDBACK_COLUMNS, strict=True)},
        "time_ms": rows["time_ms"], "extra_duration_known": known, "extra_hour": local_hour(time_ms, BEIJING_H),
        "extra_is_random": rows["is_rand"], "extra_tab": rows["tab"],
    })  # fmt: skip
