"""`check_loader`: whether a loader gives a data set that everything else can use."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recgym.catalog import Catalog
from recgym.conformance import Leaves, NotConforming, difference, leaves, require, untouched_chance
from recgym.errors import RecGymError
from recgym.interaction_log import InteractionLog
from recgym.loaders.dataset import Dataset


def check_loader(load: Callable[..., Dataset], folder: Path | str, settings: Any = None) -> Dataset:
    """Check that a loader keeps the rules of `recgym.loaders.dataset.Loader`; answers with what it loaded.

    Checked: the types, shapes and number types of the `Dataset`; users and items are rows of the profile and of the
    catalogue; rows sorted by user and, where times are known, by time; no NaN, feedbacks yes or no (the log itself
    refuses the rest); outside ids name each user and item once; notes are sentences; a second load gives the same; the
    files in the folder and the global generators are left alone; a folder without the files is refused with an error of
    RecGym that names it.

    Args:
        load: called as load(folder, settings).
        folder: a folder with (at best very small) files of this data set.
        settings: the loader's settings; None = its defaults.

    Raises:
        NotConforming: a rule was broken; `.rule` names it.
    """
    folder = Path(folder)
    before = _fingerprints(folder)
    with untouched_chance("the loader"):
        data = load(folder, settings)
    _check_types(data)
    _check_log(data)
    _check_outside_ids(data)
    apart = difference(_arrays(data), _arrays(load(folder, settings)))
    require(apart is None, "a second load gives the same", f"{apart}", "Sort what comes from sets and hashed groups.")
    after = _fingerprints(folder)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    require(
        not changed, "files stay as they are", f"loading changed {', '.join(changed)} in {folder}",
        "Write caches elsewhere, and only when asked.",
    )  # fmt: skip
    _check_refuses_nothing(load, settings)
    return data


def _fingerprints(folder: Path) -> dict[str, str]:
    """Name -> hash of the content, for every file below the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _check_types(data: Any) -> None:
    require(
        isinstance(data, Dataset), "shapes and types", f"a {type(data).__name__} came back",
        "A recgym.loaders.Dataset is needed.",
    )  # fmt: skip
    kinds = {"catalog": Catalog, "log": InteractionLog, "profile": np.ndarray, "profile_names": tuple,
             "user_outside_id": np.ndarray, "notes": tuple}  # fmt: skip
    for name, kind in kinds.items():
        value = getattr(data, name)
        require(
            isinstance(value, kind), "shapes and types", f"Dataset.{name} is a {type(value).__name__}",
            f"A {kind.__name__} is needed.",
        )  # fmt: skip
    n, p = len(data.user_outside_id), len(data.profile_names)
    require(
        data.profile.shape == (n, p) and data.profile.dtype == np.float32, "shapes and types",
        f"Dataset.profile is {data.profile.shape} {data.profile.dtype} for {n} outside ids and {p} names",
        f"({n}, {p}) float32 is needed: one row per user, one column per name.",
    )  # fmt: skip
    require(
        bool(np.isfinite(data.profile).all()), "possible values", "Dataset.profile holds NaN or infinity",
        "Fill what is missing, and say so in `notes`.",
    )  # fmt: skip
    for field in ("profile_names", "notes"):
        wrong = [value for value in getattr(data, field) if not isinstance(value, str) or not value.strip()]
        require(
            not wrong,
            "notes are sentences",
            f"Dataset.{field} holds {wrong[:1]!r}",
            "Texts that say something are needed.",
        )


def _check_log(data: Dataset) -> None:
    log = data.log
    require(len(log) > 0, "possible values", "the log is empty", "A loader refuses a folder without events (BadData).")
    for column, room in (("user", len(data.profile)), ("item", len(data.catalog))):
        number = log.array(column)
        row = np.flatnonzero((number < 0) | (number >= room))
        require(
            not len(row), "ids are row numbers", f"row {row[:1]}: {column} is {number[row[:1]]} of {room}",
            "Number users and items by their rows in the profile and the catalogue; keep outside ids beside them.",
        )  # fmt: skip
    keys = [log.array("user")] + [log.array(name) for name in ("time_ms",) if name in log.table.columns]
    backwards = keys[0][1:] < keys[0][:-1]
    if len(keys) == 2:
        backwards |= (keys[0][1:] == keys[0][:-1]) & (keys[1][1:] < keys[1][:-1])
    at = np.flatnonzero(backwards)
    require(
        not len(at), "rows are sorted by user and time", f"row {at[:1] + 1} comes before row {at[:1]} in time or user",
        "Sort by user and time; keep the file's order where both are equal.",
    )  # fmt: skip
    try:
        log.sessions()
    except RecGymError as error:
        raise NotConforming("sessions are runs of rows", str(error), "Number the visits after sorting.") from error


def _check_outside_ids(data: Dataset) -> None:
    for name, ids in (("user_outside_id", data.user_outside_id), ("catalog.outside_id", data.catalog.outside_id)):
        require(
            ids.dtype == np.int64 and ids.ndim == 1 and len(np.unique(ids)) == len(ids), "outside ids are unique",
            f"{name} is {ids.shape} {ids.dtype} with {len(np.unique(ids))} different ids",
            "One int64 id per row is needed.",
        )  # fmt: skip


def _arrays(data: Dataset) -> Leaves:
    """Everything in a data set as arrays."""
    columns = {name: data.log.table[name].to_numpy() for name in data.log.table.columns}
    texts = {"feedback": list(data.log.feedback), "notes": list(data.notes), "profile_names": list(data.profile_names)}
    catalog = {name: getattr(data.catalog, name) for name in data.catalog.__dataclass_fields__}
    out = leaves({"log": columns, "catalog": catalog, "profile": data.profile, "user": data.user_outside_id}, "")
    return out | {name: np.asarray(value, np.str_) for name, value in texts.items()}


def _check_refuses_nothing(load: Callable[..., Dataset], settings: Any) -> None:
    with tempfile.TemporaryDirectory() as empty:
        try:
            load(Path(empty), settings)
        except RecGymError as error:
            require(
                Path(empty).name in str(error), "a wrong folder is refused", f"an empty folder gave {error}",
                "Name the folder or file in the message.",
            )  # fmt: skip
            return
        except Exception as error:
            raise NotConforming(
                "a wrong folder is refused", f"an empty folder gave {type(error).__name__}: {error}",
                "Raise recgym.errors.BadData that says which file was looked for and where.",
            ) from error  # fmt: skip
    raise NotConforming("a wrong folder is refused", "an empty folder was loaded", "Raise recgym.errors.BadData.")
