"""KuaiRand's two feature tables, as user profiles and as a catalogue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from recgym.catalog import APPEAL, Catalog
from recgym.errors import BadData
from recgym.loaders.content import content_vectors, fill_durations, tag_numbers
from recgym.loaders.csv_pieces import Limit, check_limits, read_pieces, verify_header

USER_COLUMNS = (
    "user_id", "user_active_degree", "is_lowactive_period", "is_live_streamer", "is_video_author", "follow_user_num",
    "follow_user_num_range", "fans_user_num", "fans_user_num_range", "friend_user_num", "friend_user_num_range",
    "register_days", "register_days_range", *(f"onehot_feat{i}" for i in range(18)),
)  # fmt: skip
"""The 31 columns of `user_features`; the ranges are text, the one-hot features category codes that may be missing."""

VIDEO_COLUMNS = (
    "video_id", "author_id", "video_type", "upload_dt", "upload_type", "visible_status", "video_duration",
    "server_width", "server_height", "music_id", "music_type", "tag",
)  # fmt: skip
"""The 12 columns of `video_features_basic`."""

PROFILE_NAMES = (
    "full_active", "high_active", "middle_active", "low_active", "is_author", "is_streamer", "log_follows",
    "log_fans", "log_friends", "register_days",
)  # fmt: skip
"""Columns of a KuaiRand profile: four activity classes and two flags as 0/1, ln(1 + count) / 10, days / 3650."""

UNKNOWN = -124
"""KuaiRand's number for "not known"."""

_HINT = "Is this the released table? Get KuaiRand from https://zenodo.org/records/10439422."
_COUNTS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
_SECONDS = (pl.col("video_duration").fill_null(float("nan")) / 1000.0).cast(pl.Float32).alias("seconds")
_MAIN_TAG = pl.col("tag").str.extract(r"^\s*(\d+)").cast(pl.Int16, strict=False).fill_null(-1).alias("main_tag")
_LOW_ACTIVE = ("2_14_day_new", "low_active", "single_low_active", "30day_retention", "day_new", "UNKNOWN")


class Profiles(NamedTuple):
    """What the user table says.

    profile: (n, 10) float32, columns in `PROFILE_NAMES`.
    outside_id: (n,) int64, sorted user ids.
    notes: quirks, with counts.
    """

    profile: np.ndarray
    outside_id: np.ndarray
    notes: list[str]


class Videos(NamedTuple):
    """What the video table says.

    catalog: the videos by rising id.
    duration_known: (N,) bool, False where the duration was filled in.
    notes: quirks, with counts.
    """

    catalog: Catalog
    duration_known: np.ndarray
    notes: list[str]


def read_users(path: Path, wanted: np.ndarray | None, rows: int) -> Profiles:
    """The users of `user_features`: those in `wanted` (sorted ids), or all.

    Every activity class other than full, high and middle counts as low. `is_live_streamer` -124 (unknown) becomes 0.
    The ranges and one-hot features are not read: the ranges repeat the counts, the codes have no published meaning.

    Raises:
        BadData: wrong header, impossible value, an id twice, or a wanted user without a row.
    """
    verify_header(path, USER_COLUMNS, _HINT)
    types = {"user_id": "int64", "user_active_degree": "string", "is_live_streamer": "int64",
             "is_video_author": "int64", **dict.fromkeys(_COUNTS, "int64")}  # fmt: skip
    limits = {
        "user_id": Limit(0, 2**31 - 1, "user id"),
        "is_live_streamer": Limit(UNKNOWN, 1, "0, 1, or -124 = unknown"),
        "is_video_author": Limit(0, 1, "0 = no, 1 = yes"),
        **dict.fromkeys(_COUNTS, Limit(0, 2**62, "a count")),
    }
    table = _read_table(path, types, limits, "user_id", wanted, rows)
    degree = table["user_active_degree"].fill_null("UNKNOWN")
    classes = [(degree == name).to_numpy() for name in PROFILE_NAMES[:3]]
    low = ~np.any(classes, axis=0)
    streamer = table["is_live_streamer"].to_numpy()
    profile = np.column_stack([
        *classes, low, table["is_video_author"].to_numpy(), streamer == 1,
        *(np.log1p(table[name].to_numpy()) / 10.0 for name in _COUNTS[:3]),
        table["register_days"].to_numpy() / 3650.0,
    ]).astype(np.float32)  # fmt: skip
    new = int((~degree.is_in(_LOW_ACTIVE)).to_numpy()[low].sum())
    notes = [
        f"{(streamer == UNKNOWN).sum()} of {len(table)} users have is_live_streamer -124 (unknown): taken as 0.",
        f"{(low & (degree != 'low_active').to_numpy()).sum()} users of other activity classes count as low_active"
        + (f", {new} of them in classes the release does not have." if new else "."),
    ]
    return Profiles(profile, table["user_id"].to_numpy(), notes)


def read_videos(path: Path, wanted: np.ndarray | None, dimension: int, rows: int) -> Videos:
    """The videos of `video_features_basic`: those in `wanted` (sorted ids), or all.

    A missing duration is the median of the main tag in the whole table, or of the whole table. A missing tag stays
    missing (-1). Upload type, music and size are not read.

    Raises:
        BadData: wrong header, impossible value, an id twice, or a wanted video without a row.
    """
    verify_header(path, VIDEO_COLUMNS, _HINT)
    types = {"video_id": "int64", "author_id": "int64", "video_duration": "float64", "tag": "string"}
    every: list[pl.DataFrame] = []
    table = _read_table(
        path, types, {"video_id": Limit(0, 2**31 - 1, "video id")}, "video_id", wanted, rows,
        lambda piece: every.append(piece.select(_SECONDS, _MAIN_TAG)),
    )  # fmt: skip
    whole = pl.concat(every)
    tags, words, cut = tag_numbers(table["tag"])
    if words:
        raise BadData(f"{path}: tag {words[-1]!r} is no number; KuaiRand's tags are numbers such as 39. {_HINT}")
    seconds = table.select(_SECONDS).to_series().to_numpy()
    known = np.nan_to_num(seconds) > 0
    duration_s = fill_durations(seconds, tags[:, 0], whole["seconds"].to_numpy(), whole["main_tag"].to_numpy())
    vector = content_vectors(tags, table["author_id"].to_numpy(), dimension)
    catalog = Catalog(
        vector=vector, duration_s=duration_s, tags=tags, outside_id=table["video_id"].to_numpy(),
        appeal_vector=vector, appeal=np.zeros((len(tags), len(APPEAL)), np.float32),
    )  # fmt: skip
    notes = [
        f"{(~known).sum()} of {len(known)} videos have no duration: filled with the median of their main tag.",
        f"{(tags[:, 0] < 0).sum()} videos have no tag.",
    ]
    notes += [f"{cut} videos have more than three tags: the first three are kept."] if cut else []
    return Videos(catalog, known, notes)


def _read_table(
    path: Path,
    types: dict[str, str],
    limits: dict[str, Limit],
    key: str,
    wanted: np.ndarray | None,
    rows: int,
    look: Callable[[pl.DataFrame], object] = lambda piece: None,
) -> pl.DataFrame:
    """The wanted rows of a feature table by rising id; each id must occur once, each wanted id must occur.

    `look` is shown every piece of the table, also rows that are not wanted.
    """
    pieces = []
    for piece in read_pieces(path, types, rows):
        check_limits(piece, limits)
        look(piece.table)
        chosen = piece.table if wanted is None else piece.table.filter(np.isin(piece.table[key].to_numpy(), wanted))
        pieces.append(chosen)
    if not pieces:
        raise BadData(f"{path}: the table has a header and no rows; copy it again.")
    table = pl.concat(pieces).sort(key)
    twice = table.filter(pl.col(key).is_duplicated())
    if twice.height:
        raise BadData(f"{path}: {key} {twice[key][0]} occurs more than once; ids are unique in the release. {_HINT}")
    lacking = np.setdiff1d(wanted, table[key].to_numpy()) if wanted is not None else np.zeros(0)
    if len(lacking):
        raise BadData(
            f"{path}: lacks {len(lacking)} {key} values that occur in the log, such as "
            f"{', '.join(str(number) for number in lacking[:5])}. Log and table are of different variants or the "
            f"table is cut off: take both from one archive."
        )
    return table
