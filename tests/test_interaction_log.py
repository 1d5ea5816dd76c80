"""The log format: what it refuses, what it converts, and that nothing is lost on the way to disk and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgym.errors import BadData, WrongSetting, WrongShape
from recgym.interaction_log import InteractionLog

FEEDBACK = ("click", "like")


def columns(**changed: Any) -> dict[str, np.ndarray]:
    """Two visits of user 4 (one of two slates of two items) and one of user 7: five rows."""
    arrays: dict[str, Any] = {
        "user": [4, 4, 4, 4, 7], "session": [0, 0, 0, 0, 1], "step": [0, 0, 1, 1, 0], "position": [0, 1, 0, 1, 0],
        "item": [10, 11, 12, 10, 13], "watch_time_s": [0.0, 1.5, 20.25, 3.0, 8.0],
        "click": [False, False, True, False, True], "like": [False, False, True, False, False],
        "time_ms": [1000, 1000, 2000, 2000, 1500],
    }  # fmt: skip
    arrays.update(changed)
    return {name: np.asarray(values) for name, values in arrays.items() if values is not None}


def log(**changed: Any) -> InteractionLog:
    return InteractionLog.from_arrays(columns(**changed), FEEDBACK, {"world": "test", "seed": "3"})


def test_columns_are_on_their_documented_types() -> None:
    made = log(
        propensity=[0.5, 0.5, 0.25, 0.25, np.nan], cost_ads=[0, 0, 1, 1, 0], extra_tab=np.arange(5, dtype=np.int8)
    )
    assert dict(made.table.schema) == {
        "user": pl.Int64, "session": pl.Int64, "step": pl.Int32, "position": pl.Int16, "item": pl.Int32,
        "watch_time_s": pl.Float32, "click": pl.Boolean, "like": pl.Boolean, "time_ms": pl.Int64,
        "propensity": pl.Float64, "cost_ads": pl.Float64, "extra_tab": pl.Int8,
    }  # fmt: skip
    assert made.table["propensity"].null_count() == 1
    assert np.isnan(made.array("propensity")[4])
    assert len(made) == 5
    assert made.n_users == 2
    assert made.feedback_matrix().tolist() == [[0, 0], [0, 0], [1, 1], [0, 0], [1, 0]]
    assert made.feedback_matrix().dtype == np.bool_


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"watch_time_s": [0, -1.5, 1, 1, 1]}, r"row 1: watch_time_s = -1\.5; .*>= 0 in s"),
        ({"watch_time_s": [0, 1, np.nan, 1, 1]}, r"row 2: watch_time_s = nan"),
        ({"watch_time_s": [0, 1, 1, 1, np.inf]}, r"row 4: watch_time_s = inf"),
        ({"watch_time_s": [0, 1, 1, 1, 1e300]}, r"row 4: watch_time_s = 1e\+300 .*Float32"),
        ({"propensity": [1, 0, 1, 1, 1]}, r"row 1: propensity = 0\.0; .*> 0 and <= 1"),
        ({"propensity": [1, 1, 1, 1.5, 1]}, r"row 3: propensity = 1\.5"),
        ({"user": [0, 0, -2, 0, 0]}, r"row 2: user = -2; allowed: integers >= 0"),
        ({"session": [0, 0, -2, 0, 0]}, r"row 2: session = -2"),
        ({"item": [0, 0, 2**40, 0, 0]}, r"row 2: item = 1099511627776 \(Int64\) is no Int32"),
        ({"item": [0, 0, 0.5, 0, 0]}, r"row 2: item = 0\.5 \(Float64\) is no Int32"),
        ({"click": [0, 1, 2, 0, 0]}, r"row 2: click = 2 \(Int64\) is no Boolean"),
        ({"user": list("abcde")}, r"column 'user' is String; Int64 is needed"),
        ({"reward": [0, np.nan, 0, 0, 0]}, r"row 1: reward = nan"),
        ({"like": None}, r"lacks the column like"),
        ({"item": None, "user": None}, r"lacks the columns user, item"),
        (
            {"watch_time": [0, 0, 0, 0, 0]},
            r"no column 'watch_time'\. Did you mean 'watch_time_s'\?.*'extra_watch_time'",
        ),
        ({"item": [1, 2, 3]}, r"one common length.*item: \(3,\)"),
        ({"item": np.zeros((5, 2))}, r"column 'item' has shape \(5, 2\)"),
        ({"observation": np.full((5, 2), np.nan)}, r"row 0: observation\[0\] = nan"),
    ],
)
def test_what_is_refused_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        log(**changed)


@pytest.mark.parametrize("names", [(), ("click", "click"), ("item",), ("extra_x",)])
def test_impossible_feedback_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(BadData, match="feedback names are"):
        InteractionLog(log().table, names)


def test_null_in_a_required_column_is_refused() -> None:
    table = log().table.with_columns(pl.when(pl.col("item") != 12).then("item").alias("item"))
    with pytest.raises(BadData, match="row 2: item = None"):
        InteractionLog(table, FEEDBACK)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    seen = np.arange(15, dtype=np.float32).reshape(5, 3)
    made = log(observation=seen, propensity=[0.5, 0.5, 0.25, 0.25, np.nan], terminated=[0, 0, 1, 1, 1],
               return_gap_days=[np.nan, np.nan, 2, 2, 1], extra_kind=np.array(list("abcde")))  # fmt: skip
    path = tmp_path / "folder" / "log.parquet"
    made.save(path)
    read = InteractionLog.load(path)
    assert read.table.equals(made.table)
    assert read.table.schema == made.table.schema
    assert read.feedback == FEEDBACK
    assert read.source == {"world": "test", "seed": "3"}
    assert read.observations().tolist() == seen.tolist()
    assert read.observations().dtype == np.float32
    assert [path.name for path in path.parent.iterdir()] == ["log.parquet"]


def test_the_file_carries_units_and_descriptions(tmp_path: Path) -> None:
    log(observation=np.zeros((5, 1)), extra_stay_ms=[1, 2, 3, 4, 5]).save(tmp_path / "log.parquet")
    schema = pq.read_schema(tmp_path / "log.parquet")
    units = {name: schema.field(name).metadata[b"unit"].decode() for name in schema.names}
    assert units == {
        "user": "1", "session": "1", "step": "1", "position": "1", "item": "1", "watch_time_s": "s", "click": "1",
        "like": "1", "time_ms": "ms", "observation": "1", "extra_stay_ms": "ms",
    }  # fmt: skip
    assert all(schema.field(name).metadata[b"description"] for name in schema.names)
    assert schema.metadata[b"recgym.log"] == b"1"


def test_scan_reads_the_same_rows(tmp_path: Path) -> None:
    log().save(tmp_path / "log.parquet")
    rows = InteractionLog.scan(tmp_path / "log.parquet").filter(pl.col("user") == 7).select("item").collect()
    assert rows["item"].to_list() == [13]


def test_an_empty_log_survives(tmp_path: Path) -> None:
    empty = log(observation=np.zeros((5, 2))).where(np.zeros(5, np.bool_))
    empty.save(tmp_path / "log.parquet")
    read = InteractionLog.load(tmp_path / "log.parquet")
    assert len(read) == 0
    assert read.observations().shape == (0, 2)
    assert read.feedback_matrix().shape == (0, 2)
    assert [part.tolist() for part in read.sessions()] == [[], []]


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    log().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match=r"log\.parquet: truncated, or not a Parquet file"):
        InteractionLog.load(path)
    with pytest.raises(BadData, match=r"missing\.parquet: no such file"):
        InteractionLog.load(tmp_path / "missing.parquet")
    pq.write_table(pa.table({"user": [1]}), path)
    for read in (InteractionLog.load, InteractionLog.scan):
        with pytest.raises(BadData, match=r"log\.parquet: a Parquet file, but not one that InteractionLog\.save wrote"):
            read(path)


def test_a_damaged_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    log().save(path)
    damaged = bytearray(path.read_bytes())
    damaged[4:200] = bytes(196)
    path.write_bytes(damaged)
    with pytest.raises(BadData, match=r"log\.parquet: not a complete interaction log"):
        InteractionLog.load(path)


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    log().save(path)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"recgym.log": b"99"}), path)
    with pytest.raises(BadData, match="format version 99"):
        InteractionLog.load(path)


def test_sessions_and_requests_are_row_ranges() -> None:
    start, stop = log().sessions()
    assert (start.tolist(), stop.tolist()) == ([0, 4], [4, 5])
    start, stop = log().requests()
    assert (start.tolist(), stop.tolist()) == ([0, 2, 4], [2, 4, 5])
    start, stop = log(session=[0, 0, 0, 0, -1]).sessions()
    assert (start.tolist(), stop.tolist()) == ([0], [4])


def test_sessions_that_are_torn_are_refused_until_sorted() -> None:
    order = np.array([2, 4, 0, 1, 3])
    torn = InteractionLog(log().table[order], FEEDBACK)
    with pytest.raises(BadData, match=r"not together.*in_order"):
        torn.sessions()
    assert torn.in_order().table.equals(log().table)
    with pytest.raises(BadData, match="row 2: session 0 runs backwards"):
        InteractionLog(log().table[[2, 3, 0, 1, 4]], FEEDBACK).sessions()
    with pytest.raises(BadData, match="row 4: session 0 belongs to two users"):
        log(session=[0, 0, 0, 0, 0]).sessions()


def test_where_takes_masks_and_expressions() -> None:
    wanted = [12, 13]
    assert log().where(pl.col("click")).array("item").tolist() == wanted
    assert log().where(log().array("click")).array("item").tolist() == wanted
    assert log().where(log().table["click"]).array("item").tolist() == wanted
    with pytest.raises(WrongShape, match=r"\(5,\) bool is needed; \(3,\) int64"):
        log().where(np.array([1, 0, 1]))


def test_adding_keeps_sessions_apart() -> None:
    other = InteractionLog.from_arrays(
        columns(session=[0, 0, 3, 3, -1], extra_tab=[1, 1, 1, 1, 1]), FEEDBACK, {"world": "test", "seed": "4"}
    )
    both = log() + other + log()
    assert both.array("session").tolist() == [0, 0, 0, 0, 1, 2, 2, 5, 5, -1, 6, 6, 6, 6, 7]
    assert both.source == {"world": "test", "seed": "3; 4"}
    assert both.table["extra_tab"].to_list() == [None] * 5 + [1] * 5 + [None] * 5
    assert len(log()) == 5


def test_logs_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(BadData, match="column 'reward' is missing in log 1"):
        log(reward=np.zeros(5)) + log()
    with pytest.raises(BadData, match="feedback"):
        log() + InteractionLog(log().table.drop("like"), ("click",))
    with pytest.raises(BadData, match="at least one"):
        InteractionLog.concat([])


def test_splitting_by_time() -> None:
    before, after = log().split_by_time(1500)
    assert before.array("item").tolist() == [10, 11]
    assert after.array("item").tolist() == [12, 10, 13]


def test_splitting_users_is_exact_and_repeatable() -> None:
    n = 1000
    table = {name: np.repeat(values[:1], n) for name, values in columns().items()}
    many = InteractionLog.from_arrays({**table, "user": np.arange(n), "session": np.arange(n)}, FEEDBACK)
    first, rest = many.split_users(0.3, seed=1)
    assert first.n_users == 300
    assert sorted([*first.array("user"), *rest.array("user")]) == list(range(n))
    assert many.split_users(0.3, seed=1)[0].table.equals(first.table)
    assert not many.split_users(0.3, seed=2)[0].table.equals(first.table)
    wider = many.split_users(0.5, seed=1)[0].array("user")
    assert np.isin(first.array("user"), wider).all()
    with pytest.raises(WrongSetting, match=r"fraction is 1\.5"):
        many.split_users(1.5, seed=1)


def test_a_log_does_not_change() -> None:
    arrays = columns()
    made = InteractionLog.from_arrays(arrays, FEEDBACK)
    arrays["watch_time_s"][:] = -1
    arrays["item"][:] = 0
    arrays["time_ms"][:] = 0
    assert made.array("time_ms").tolist() == [1000, 1000, 2000, 2000, 1500]
    assert made.array("watch_time_s").tolist() == [0.0, 1.5, 20.25, 3.0, 8.0]
    assert made.array("item").tolist() == [10, 11, 12, 10, 13]
    with pytest.raises(AttributeError):
        made.feedback = ("x",)  # type: ignore[misc]
