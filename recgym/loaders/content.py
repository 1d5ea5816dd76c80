"""What a loader makes of item facts: tag numbers, durations without holes, and a content vector."""

from __future__ import annotations

import numpy as np
import polars as pl

from recgym.errors import BadData
from recgym.noise import Noise

MAX_TAGS = 3
"""How many tags of an item are kept."""

AUTHOR_WEIGHT = 0.6
"""Weight of the author in a content vector; each tag weighs 1."""

_CHUNK = 1 << 18


def content_vectors(tags: np.ndarray, author: np.ndarray, dimension: int) -> np.ndarray:
    """The content code a platform would have: alike for videos that share tags or the author.

    Each tag number and each author id has a random unit vector of its own: standard normal draws of
    `recgym.noise` (splitmix64) with the id as the seed, named "content tag" and "content author", scaled to
    length 1. An item's vector is the sum of its tags' vectors plus 0.6 times its author's, scaled to length 1. It
    depends on these ids alone: the same on every machine, and whatever other items there are.

    Args:
        tags: (N, t) integer tag numbers, -1 = none.
        author: (N,) int64 author ids.
        dimension: d, the length of the vectors.

    Returns:
        (N, d) float32 of length 1.
    """
    numbers = np.unique(tags[tags >= 0]).astype(np.int64)
    code = np.vstack([np.zeros((1, dimension)), _unit_vectors("content tag", numbers, dimension)])
    row = np.where(tags >= 0, np.searchsorted(numbers, tags) + 1, 0)
    out = np.empty((len(tags), dimension), np.float32)
    for start in range(0, len(tags), _CHUNK):
        part = slice(start, start + _CHUNK)
        total = code[row[part]].sum(axis=1)
        total += AUTHOR_WEIGHT * _unit_vectors("content author", author[part], dimension)
        out[part] = total / np.linalg.norm(total, axis=1, keepdims=True)
    return out


def _unit_vectors(kind: str, number: np.ndarray, dimension: int) -> np.ndarray:
    """(n, dimension) float64 of length 1, a function of `kind` and each number alone."""
    drawn = Noise.of(number, np.zeros(len(number), np.int64)).normal(kind, dimension)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def tag_numbers(text: pl.Series, separator: str = ",") -> tuple[np.ndarray, tuple[str, ...], int]:
    """Tag numbers from texts such as "3,39"; missing or empty = no tag.

    Where every tag is a whole number it is kept as it is; otherwise the distinct words are numbered in sorted order.

    Returns:
        tags: (N, 3) int16, padded with -1.
        words: the words by number; empty where the tags are numbers already.
        cut: how many items have more than three tags, of which only the first three are kept.

    Raises:
        BadData: a tag number outside 0 .. 32767, or more than 32768 different words.
    """
    parts = text.cast(pl.String).str.split(separator)
    columns = [parts.list.get(i, null_on_oob=True).str.strip_chars() for i in range(MAX_TAGS)]
    columns = [column.set(column == "", None) for column in columns]
    distinct = pl.concat(columns).drop_nulls().unique().sort()
    numbers = distinct.cast(pl.Int64, strict=False)
    words: tuple[str, ...] = ()
    if numbers.null_count():
        words, numbers = tuple(distinct), pl.Series(np.arange(len(distinct)))
    wrong = numbers.filter((numbers < 0) | (numbers > np.iinfo(np.int16).max))
    if len(wrong):
        raise BadData(
            f"column {text.name!r} has the tag number {wrong[0]}; 0 .. 32767 are allowed. "
            f"Renumber the tags, or map a column with coarser ones."
        )
    found = [column.replace_strict(distinct, numbers, default=None, return_dtype=pl.Int64) for column in columns]
    tags = np.column_stack([column.fill_null(-1).to_numpy() for column in found]).astype(np.int16)
    return tags, words, int((parts.list.len() > MAX_TAGS).sum())


def fill_durations(
    duration_s: np.ndarray, main_tag: np.ndarray, known_s: np.ndarray | None = None, known_tag: np.ndarray | None = None
) -> np.ndarray:
    """Durations without holes: the median of the known ones with the same main tag, or else of all known ones.

    Args:
        duration_s: (N,) seconds; NaN or 0 = missing.
        main_tag: (N,) tag numbers, -1 = none (a group of its own).
        known_s: (M,) seconds of the items to take medians from; None = these N.
        known_tag: (M,) their main tags.

    Returns:
        (N,) float32, seconds, all above 0.

    Raises:
        BadData: no duration is known.
    """
    known_s, known_tag = (duration_s, main_tag) if known_s is None or known_tag is None else (known_s, known_tag)
    missing, usable = ~(np.nan_to_num(duration_s) > 0), np.nan_to_num(known_s) > 0
    if not usable.any():
        raise BadData(f"none of the {len(known_s)} items has a duration; at least one is needed to fill the others.")
    filled = np.where(missing, np.median(known_s[usable]), duration_s)
    for tag in np.unique(main_tag[missing]):
        same = usable & (known_tag == tag)
        if same.any():
            filled[missing & (main_tag == tag)] = np.median(known_s[same])
    return filled.astype(np.float32)
