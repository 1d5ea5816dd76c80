"""Your own log: columns found by name, gaps derived or filled, and mistakes explained."""

from __future__ import annotations

import datetime
import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recgym.errors import BadData, WrongSetting
from recgym.loaders import LOADERS, Dataset, kuairand
from recgym.loaders.event_log import Settings, load

EVENTS = """user_id,item_id,time_ms,watch_time_s,duration_s,liked,scenario
7,30,3000,20.0,40.0,1,2
3,10,1000,6.0,6.0,0,1
7,20,2000,7.0,30.0,0,2
7,20,2000,7.0,30.0,0,2
3,30,1801000,17.9,40.0,0,1
3,20,3601001,18.0,30.0,0,1
"""


def folder(path: Path, text: str = EVENTS, **files: str) -> Path:
    (path / "events.csv").write_text(text)
    for name, content in files.items():
        (path / f"{name}.csv").write_text(content)
    return path


def columns(dataset: Dataset, *names: str) -> list[list[Any]]:
    return [dataset.log.table[name].to_list() for name in names]


def test_events_become_a_log(tmp_path: Path) -> None:
    dataset = load(folder(tmp_path), Settings(feedback={"like": "liked"}, extra={"tab": "scenario"}, utc_offset_h=8))
    assert dataset.user_outside_id.tolist() == [3, 7]
    assert dataset.catalog.outside_id.tolist() == [10, 20, 30]
    assert dataset.catalog.duration_s.tolist() == [6.0, 30.0, 40.0]
    assert columns(dataset, "user", "item", "time_ms", "session", "step", "position") == [
        [0, 0, 0, 1, 1], [0, 2, 1, 1, 2], [1000, 1801000, 3601001, 2000, 3000], [0, 0, 1, 2, 2], [0, 1, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ]  # fmt: skip
    assert dataset.log.feedback == ("click", "long_view", "like")
    # Rules: a play of a 6 s video is valid when whole; otherwise more than 7 s; long from 18 s.
    assert dataset.log.feedback_matrix().astype(int).tolist() == [
        [1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]
    ]  # fmt: skip
    assert columns(dataset, "extra_tab", "extra_hour", "extra_duration_known") == [
        [1, 1, 1, 2, 2], [8, 8, 9, 8, 8], [True] * 5
    ]  # fmt: skip
    assert dataset.profile.shape == (2, 0)
    assert "1 exact duplicate events dropped." in dataset.notes
    assert "click is derived from watch time and duration by the rule of recgym.feedback." in dataset.notes
    dataset.log.sessions()


def test_the_registry_knows_it() -> None:
    assert LOADERS.get("event_log") is load


def test_units_and_files_of_other_kinds(tmp_path: Path) -> None:
    expected = load(folder(tmp_path)).log.table
    table = pl.read_csv(tmp_path / "events.csv")
    other = table.select(
        pl.from_epoch("time_ms", time_unit="ms").alias("when"), pl.col("user_id").alias("who"),
        pl.col("item_id").alias("what"), (pl.col("watch_time_s") * 1000).alias("play_ms"),
        (pl.col("duration_s") * 1000).alias("length_ms"), "scenario",
    )  # fmt: skip
    other.write_parquet(tmp_path / "log.parquet")
    seconds = other.with_columns(pl.col("when").dt.epoch("ms") / 1000)
    seconds.write_csv(tmp_path / "log.tsv", separator="\t")
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(seconds.write_csv().encode()))
    names = {"user": "who", "item": "what", "time": "when", "watch_time": "play_ms", "duration": "length_ms",
             "watch_time_unit": "ms", "duration_unit": "ms", "time_unit": "s"}  # fmt: skip
    for name in ("log.parquet", "log.tsv", "log.csv.gz"):
        assert load(tmp_path, Settings(events=name, **names)).log.table.equals(expected), name  # type: ignore[arg-type]


def test_items_file_tags_and_authors(tmp_path: Path) -> None:
    items = 'id,length,kind,maker\n10,6,"cats,dogs",a\n20,30,,a\n30,40,dogs,b\n40,9,cats,b\n'
    settings = Settings(items="items.csv", item_key="id", duration="length", tags="kind", author="maker")
    dataset = load(folder(tmp_path, items=items), settings)
    assert dataset.catalog.tags.tolist() == [[0, 1, -1], [-1, -1, -1], [1, -1, -1]]
    assert "tags are words, numbered in sorted order: cats, dogs." in dataset.notes
    np.testing.assert_allclose(np.linalg.norm(dataset.catalog.vector, axis=1), 1.0, atol=1e-6)
    every = load(tmp_path, Settings(**{**vars(settings), "unseen_items": True}))
    assert every.catalog.outside_id.tolist() == [10, 20, 30, 40]
    assert every.log.table.equals(dataset.log.table)


def test_text_ids(tmp_path: Path) -> None:
    text = "user_id,item_id,time_ms,watch_time_s,duration_s\nbob,x9,1,1,10\nann,x9,2,2,10\nbob,a1,3,3,20\n"
    dataset = load(folder(tmp_path, text))
    assert columns(dataset, "user", "item") == [[0, 1, 1], [1, 1, 0]]
    assert dataset.catalog.outside_id.tolist() == [0, 1]
    assert sum("ids are text" in note for note in dataset.notes) == 2


def test_mapped_feedback_is_kept_as_it_is_and_in_order(tmp_path: Path) -> None:
    text = "user_id,item_id,time_ms,watch_time_s,duration_s,saved,valid,bad\n1,1,1,8,9,true,0,1\n1,2,2,1,9,false,1,0\n"
    dataset = load(folder(tmp_path, text), Settings(feedback={"saved": "saved", "hate": "bad", "click": "valid"}))
    assert dataset.log.feedback == ("click", "long_view", "hate", "saved")
    assert dataset.log.feedback_matrix().astype(int).tolist() == [[0, 0, 1, 1], [1, 0, 0, 0]]


def test_named_sessions_and_slates(tmp_path: Path) -> None:
    text = """user_id,item_id,time_ms,watch_time_s,duration_s,visit,p
1,1,50,1,10,b,0.5
1,2,50,1,10,b,0.5
1,3,10,1,10,a,
1,4,60,1,10,a,0.25
2,5,5,1,10,a,1
"""
    dataset = load(folder(tmp_path, text), Settings(session="visit", slates=True, propensity="p"))
    assert columns(dataset, "item", "session", "step", "position", "propensity") == [
        [2, 3, 0, 1, 4], [0, 0, 1, 1, 2], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [None, 0.25, 0.5, 0.5, 1.0]
    ]  # fmt: skip


def test_missing_durations_are_refused_or_filled(tmp_path: Path) -> None:
    text = "user_id,item_id,time_ms,watch_time_s,duration_s,tag\n1,1,1,1,10,5\n1,2,2,1,0,5\n1,3,3,1,90,6\n1,4,4,1,,7\n"
    with pytest.raises(BadData, match=r"row 4: duration_s is empty or NaN"):
        load(folder(tmp_path, text))
    with pytest.raises(BadData, match=r"row 2: duration_s is 0; .*set missing_duration to 'fill'"):
        load(folder(tmp_path, text.replace("1,,7", "1,8,7")))
    dataset = load(folder(tmp_path, text), Settings(missing_duration="fill", tags="tag"))
    assert dataset.catalog.duration_s.tolist() == [10.0, 10.0, 90.0, 50.0]
    assert columns(dataset, "extra_duration_known")[0] == [True, False, True, False]
    assert "2 of 4 items have no duration: filled with the median of their main tag." in dataset.notes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7,30,3000,20.0", "7,30,3000,NaN", r"events\.csv: row 1: watch_time_s is empty or NaN; finite numbers from 0"),
        ("7,30,3000,20.0", "7,30,3000,-2.0", r"row 1: watch_time_s is -2\.0"),
        ("7,30,3000,20.0", "7,30,3000,inf", r"row 1: watch_time_s is inf"),
        ("7,30,3000,20.0", "7,30,3000,long", r"watch_time_s holds String, such as 'long'; numbers are needed"),
        ("7,30,3000", "7,30,", r"row 1: time_ms is empty or NaN"),
        ("7,30,3000", ",30,3000", r"row 1: user_id is empty or NaN; every row needs an id"),
        ("7,30,3000", "7.5,30,3000", r"user_id holds Float64, such as 7\.5; ids are whole numbers or text"),
        ("40.0,1,2", "40.0,3,2", r"row 1: liked is 3; 0 or 1"),
        ("40.0,1,2", "-40.0,1,2", r"row 1: duration_s is -40\.0"),
        ("watch_time_s,", "watchtime_s,", r"no column 'watch_time_s'\. Did you mean 'watchtime_s'\?.*Set watch_time"),
        ("liked", "like", r"no column 'liked'\. Did you mean 'like'\?"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(BadData, match=message):
        load(folder(tmp_path, EVENTS.replace(old, new, 1)), Settings(feedback={"like": "liked"}))


def test_impossible_propensities_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"row 1: scenario is 2; a probability in \(0, 1\]"):
        load(folder(tmp_path), Settings(propensity="scenario"))


def test_items_must_be_listed_once(tmp_path: Path) -> None:
    settings = Settings(items="items.csv", duration="length")
    with pytest.raises(BadData, match=r"events\.csv: row 1: item_id is 30; items\.csv has no row for this item"):
        load(folder(tmp_path, items="item_id,length\n10,1\n20,1\n"), settings)
    with pytest.raises(BadData, match=r"items\.csv: row 3: item_id is 10; each item needs one row"):
        load(folder(tmp_path, items="item_id,length\n10,1\n20,1\n10,1\n30,2\n"), settings)
    with pytest.raises(BadData, match="Int64 in one file and String in the other"):
        load(folder(tmp_path, items="item_id,length\na,1\n"), settings)


def test_profiles_are_standardised(tmp_path: Path) -> None:
    settings = Settings(profiles="people.csv", profile=("age", "same"))
    people = "user_id,age,same\n7,40,-1\n3,20,-1\n9,99,5\n"
    dataset = load(folder(tmp_path, people=people), settings)
    assert dataset.profile.tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert dataset.profile_names == ("age", "same")
    with pytest.raises(BadData, match=r"people\.csv: lacks 1 users of the events, such as 7"):
        load(folder(tmp_path, people="user_id,age,same\n3,20,1\n"), settings)
    with pytest.raises(WrongSetting, match="go together"):
        Settings(profile=("age",))


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"events\.csv: no such file"):
        load(tmp_path)
    with pytest.raises(BadData, match="the table has no rows"):
        load(folder(tmp_path, EVENTS.splitlines()[0] + "\n"))
    with pytest.raises(BadData, match=r"events\.csv: truncated, damaged or no table"):
        load(folder(tmp_path, ""))
    with pytest.raises(BadData, match="truncated, damaged or no table"):
        load(folder(tmp_path, EVENTS + "1,2,3,4,5,0,1,8,9\n"))
    (tmp_path / "events.csv.gz").write_bytes(gzip.compress((EVENTS * 200).encode())[:60])
    with pytest.raises(BadData, match=r"events\.csv\.gz: truncated"):
        load(tmp_path, Settings(events="events.csv.gz"))
    with pytest.raises(BadData, match="a file of this kind is not read"):
        load(tmp_path, Settings(events="events.xlsx"))


@pytest.mark.parametrize("wrong", [{"time_unit": "min"}, {"missing_duration": "drop"}, {"dimension": 0}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongSetting, match=next(iter(wrong))):
        Settings(**wrong)


def test_seconds_taken_for_milliseconds_are_noticed(tmp_path: Path) -> None:
    seconds = int(datetime.datetime(2022, 4, 25, tzinfo=datetime.UTC).timestamp())
    text = f"user_id,item_id,time_ms,watch_time_s,duration_s\n1,1,{seconds},1,10\n"
    assert any("all times lie before 1973" in note for note in load(folder(tmp_path, text)).notes)


@pytest.mark.data
def test_kuairand_read_by_column_names_is_the_same_log() -> None:
    real = Path(os.environ.get("RECGYM_DATA", Path(__file__).parents[2] / "shared" / "data")) / "kuairand_pure"
    name = "log_standard_4_08_to_4_21_pure.head1000.csv"
    if not (real / name).is_file():
        pytest.skip(f"no {name} in {real}; set RECGYM_DATA to the folder with kuairand_pure")
    ours = kuairand.load(real, kuairand.Settings(logs=(name,), tab=None))
    feedback = {"click": "is_click", "long_view": "long_view", **{n: f"is_{n}" for n in ours.log.feedback[2:]}}
    theirs = load(
        real,
        Settings(
            events=name, item="video_id", watch_time="play_time_ms", watch_time_unit="ms", duration="video_duration",
            duration_unit="ms", missing_duration="fill", items="video_features_basic_pure.csv", tags="tag",
            author="author_id", feedback=feedback, utc_offset_h=8, extra={"tab": "tab"},
        ),
    )  # fmt: skip
    for column in ("user", "item", "time_ms", "watch_time_s", *ours.log.feedback, "extra_hour", "extra_tab"):
        assert (ours.log.array(column) == theirs.log.array(column)).all(), column
    assert theirs.catalog.outside_id.tolist() == ours.catalog.outside_id.tolist()
    assert theirs.catalog.vector.tolist() == ours.catalog.vector.tolist()
    assert theirs.user_outside_id.tolist() == ours.user_outside_id.tolist()
