"""KuaiRand on disk: which files a folder holds, and the selected rows of its logs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from recgym.errors import BadData, WrongSetting
from recgym.loaders.csv_pieces import Limit, check_limits, read_pieces, verify_header
from recgym.noise import Noise

LOG_COLUMNS = (
    "user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "is_like", "is_follow", "is_comment",
    "is_forward", "is_hate", "long_view", "play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time",
    "is_profile_enter", "is_rand", "tab",
)  # fmt: skip
"""The 19 columns of a KuaiRand log, all whole numbers without gaps."""

SIZES = {"pure": (27_285, 7_583), "1k": (27_285, 4_369_953), "27k": (27_285, 32_038_725)}
"""User ids and video ids of each variant are below these. (For the 1,000 users of 1K this is an upper bound.)"""

_LOG = re.compile(r"log_(standard|random)_\d+_\d+_to_\d+_\d+_(pure|1k|27k)(_part\d+)?(\.extract)?\.csv(\.gz)?")
_HINT = (
    "Copies with other columns, or with text in place of numbers, are not the release: get KuaiRand from "
    "https://zenodo.org/records/10439422."
)
_FLAGS = ("is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view", "is_rand")
_KEPT = ("user_id", "video_id", "time_ms", "play_time_ms", "duration_ms", "tab", *_FLAGS)
_NARROW = {
    "user_id": pl.Int32, "video_id": pl.Int32, "play_time_ms": pl.Int32, "duration_ms": pl.Int32, "tab": pl.Int8,
    **dict.fromkeys(_FLAGS, pl.Boolean),
}  # fmt: skip


class Files(NamedTuple):
    """The files of one KuaiRand data set.

    variant: "pure", "1k" or "27k".
    standard, random: the logs of the two kinds, in the order of their names; random may be empty.
    users, videos: the two feature tables.
    """

    variant: str
    standard: tuple[Path, ...]
    random: tuple[Path, ...]
    users: Path
    videos: Path


class Selection(NamedTuple):
    """Which rows of the logs are kept.

    tab: the scenario, None = all.
    first_date, last_date: YYYYMMDD in Beijing, inclusive; None = open.
    user_share: share of the user ids, in (0, 1].
    videos: (n,) int64 video ids, None = all.
    """

    tab: int | None
    first_date: int | None
    last_date: int | None
    user_share: float
    videos: np.ndarray | None = None


def find_files(folder: Path, variant: str | None, logs: Sequence[str]) -> Files:
    """The files of the data set in `folder`, its `data` folder, or a `KuaiRand-<V>` folder inside it.

    Logs are recognised by the official names (`log_<kind>_<from>_to_<until>_<variant>[_partN].csv`, or with .gz).
    Where a file is there plain and gzipped, the plain one is read. Files `*.extract.csv` are read only where the
    folder has no official log of the same kind, and any other file (such as `*.head1000.csv`) only when `logs`
    names it: the rows of such files are rows of the others.

    Raises:
        BadData: a file is missing; says which, and what the folder holds.
        WrongSetting: several variants lie side by side and none was chosen.
    """
    tried = [folder, folder / "data", *sorted(folder.glob("KuaiRand-*/data")), *sorted(folder.glob("KuaiRand-*"))]
    found = [place for place in tried if place.is_dir() and any(place.glob("user_features_*.csv*"))]
    variants = {name: place for place in reversed(found) for name in SIZES if any(_tables(place, name))}
    chosen = variant or (next(iter(variants)) if len(variants) == 1 else None)
    if variants and chosen is None:
        raise WrongSetting(f"{folder} holds the variants {', '.join(sorted(variants))}; set variant to one of them.")
    if chosen is None or chosen not in variants:
        raise BadData(
            f"{folder}: no KuaiRand{'-' + chosen if chosen else ''} here (looked for user_features_<variant>.csv in "
            f"{', '.join(str(place) for place in tried[:2])} and KuaiRand-*/data). {_HINT}"
        )
    place = variants[chosen]
    standard, random = _named_logs(place, logs) if logs else _official_logs(place, chosen)
    return Files(chosen, standard, random, _table(place, "user_features", chosen),
                 _table(place, "video_features_basic", chosen))  # fmt: skip


def _tables(place: Path, variant: str) -> list[Path]:
    return [path for path in (place / f"user_features_{variant}.csv{end}" for end in ("", ".gz")) if path.is_file()]


def _table(place: Path, name: str, variant: str) -> Path:
    for end in ("", ".gz"):
        path = place / f"{name}_{variant}.csv{end}"
        if path.is_file():
            return path
    raise BadData(f"{place}: lacks {name}_{variant}.csv (or .csv.gz); copy it from the KuaiRand archive.")


def _named_logs(place: Path, logs: Sequence[str]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    paths = [place / name for name in logs]
    for path in paths:
        if not path.is_file():
            there = ", ".join(sorted(other.name for other in place.glob("log_*"))) or "no log"
            raise BadData(f"{path}: no such file; {place} holds {there}.")
    random = tuple(path for path in paths if path.name.startswith("log_random"))
    return tuple(path for path in paths if path not in random), random


def _official_logs(place: Path, variant: str) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    logs: dict[str, dict[str, Path]] = {"standard": {}, "random": {}}
    extracts: dict[str, dict[str, Path]] = {"standard": {}, "random": {}}
    for path in sorted(place.glob("log_*.csv*")):
        match = _LOG.fullmatch(path.name)
        if match and match[2] == variant:
            kind = extracts if match[4] else logs
            kind[match[1]].setdefault(path.name.removesuffix(".gz"), path)
    kinds = ((logs[kind] or extracts[kind]).values() for kind in ("standard", "random"))
    standard, random = (tuple(paths) for paths in kinds)
    return standard, random


def read_logs(paths: Sequence[Path], variant: str, select: Selection, hash_rows: bool, rows: int) -> pl.DataFrame:
    """The selected rows of several logs, in the order of the files, with narrow types.

    Every row is checked, also those that are not selected. Memory holds the selected rows and one piece.

    Args:
        paths: the log files.
        variant: sets the allowed ids.
        select: which rows to keep.
        hash_rows: add `row_hash`, 64 bits of all 19 columns, for finding exact duplicates.
        rows: about how many rows to parse at a time.

    Raises:
        BadData: wrong header, impossible number, damaged file, or no row left.
    """
    limits = _limits(variant)
    kept, dates, tabs = [], set[int](), set[int]()
    for path in paths:
        verify_header(path, LOG_COLUMNS, _HINT)
        for piece in read_pieces(path, dict.fromkeys(LOG_COLUMNS, "int64"), rows):
            check_limits(piece, limits)
            dates.update(piece.table["date"].unique())
            tabs.update(piece.table["tab"].unique())
            table = _selected(piece.table, select)
            extra = [table.hash_rows(seed=0).alias("row_hash")] if hash_rows else []
            kept.append(table.select(pl.col(name).cast(_NARROW.get(name, pl.Int64)) for name in _KEPT)
                        .with_columns(extra))  # fmt: skip
    if not sum(table.height for table in kept):
        raise BadData(
            f"{', '.join(str(path) for path in paths)}: no row is left with tab {select.tab}, dates "
            f"{select.first_date} .. {select.last_date} and user share {select.user_share}; the files hold tabs "
            f"{sorted(tabs)} and dates {min(dates, default='none')} .. {max(dates, default='none')}. "
            f"Choose among these."
        )
    return pl.concat(kept)


def read_video_ids(paths: Sequence[Path], rows: int) -> np.ndarray:
    """Sorted (n,) int64: the different videos that occur in some logs."""
    found = pl.Series(dtype=pl.Int64)
    for path in paths:
        verify_header(path, LOG_COLUMNS, _HINT)
        for piece in read_pieces(path, {"video_id": "int64"}, rows):
            found = pl.concat([found, piece.table["video_id"]]).unique()
    return found.sort().to_numpy()


def _limits(variant: str) -> dict[str, Limit]:
    users, videos = SIZES[variant]
    flags = dict.fromkeys((*_FLAGS, "is_profile_enter"), Limit(0, 1, "0 = no, 1 = yes"))
    times = ("play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time")
    return {
        "user_id": Limit(0, users - 1, f"user ids of KuaiRand-{variant}"),
        "video_id": Limit(0, videos - 1, f"video ids of KuaiRand-{variant}"),
        "date": Limit(20220401, 20220531, "day in Beijing, YYYYMMDD"),
        "hourmin": Limit(0, 2359, "hour in Beijing times 100"),
        "time_ms": Limit(1_640_995_200_000, 1_672_531_199_999, "UTC milliseconds within 2022"),
        **flags,
        **dict.fromkeys(times, Limit(0, 2**31 - 1, "milliseconds")),
        "tab": Limit(0, 14, "scenario"),
    }


def _selected(table: pl.DataFrame, select: Selection) -> pl.DataFrame:
    wanted = pl.lit(True)
    if select.tab is not None:
        wanted &= pl.col("tab") == select.tab
    if select.first_date is not None:
        wanted &= pl.col("date") >= select.first_date
    if select.last_date is not None:
        wanted &= pl.col("date") <= select.last_date
    table = table.filter(wanted)
    if select.user_share < 1.0:
        user = table["user_id"].to_numpy()
        luck = Noise.of(user, np.zeros(len(user), np.int64)).uniform("kuairand user share")[:, 0]
        table = table.filter(pl.Series(luck < select.user_share))
    if select.videos is not None:
        table = table.filter(pl.Series(np.isin(table["video_id"].to_numpy(), select.videos)))
    return table
