"""KuaiRand: every quirk of the data, on rows written by hand; and, where it is there, the real extract."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recgym.errors import BadData, WrongSetting
from recgym.feedback import FEEDBACK, long_view, valid_play
from recgym.loaders import LOADERS, Dataset
from recgym.loaders.kuairand import Settings, load
from recgym.loaders.kuairand_files import LOG_COLUMNS
from recgym.loaders.kuairand_tables import PROFILE_NAMES, USER_COLUMNS, VIDEO_COLUMNS

NOON_MS = 1_650_859_200_000
"""2022-04-25 04:00 UTC, which is noon in Beijing."""
MINUTE_MS = 60_000

EARLY, LATE, RANDOM = (
    "log_standard_4_08_to_4_21", "log_standard_4_22_to_5_08", "log_random_4_22_to_5_08",
)  # fmt: skip


def row(user: int, video: int, at_ms: int = NOON_MS, **changed: Any) -> str:
    """One line of a log: a short watch on tab 1, unless something else is said."""
    values: dict[str, Any] = dict.fromkeys(LOG_COLUMNS, 0)
    values |= {"user_id": user, "video_id": video, "date": 20220425, "hourmin": 1200, "time_ms": at_ms, "tab": 1}
    values |= {"play_time_ms": 1500, "duration_ms": 10_000, **changed}
    return ",".join(str(values[name]) for name in LOG_COLUMNS)


def user_line(number: int, degree: str = "full_active", streamer: int = 0, author: int = 1) -> str:
    features = ",".join(["1", "1", "29", "949", "", *["0"] * 7, *[""] * 6])
    return f'{number},{degree},0,{streamer},{author},514,"(250,500]",150,"[100,1k)",34,"[30,60)",799,730+,{features}'


def video_line(number: int, duration: str = "10000.0", tag: str = "39", author: int = 5) -> str:
    return f"{number},{author},NORMAL,2022-04-10,LongImport,0.0,{duration},720.0,1280.0,0,,{tag}"


def write(path: Path, header: tuple[str, ...], lines: list[str]) -> Path:
    """A CSV file, gzipped where its name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([",".join(header), *lines]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a small data set: users 0, 3 and 6, videos 0 to 4, and the logs given by name."""

    def made(variant: str = "pure", ending: str = ".csv", place: str = "", **logs: list[str]) -> Path:
        folder = tmp_path / place
        users = [user_line(0, "full_active", 1), user_line(3, "2_14_day_new", -124), user_line(6, "UNKNOWN", 0, 0)]
        videos = [
            video_line(0, "10000.0", "39"), video_line(1, "20000.0", '"3,39"'), video_line(2, "", "39", author=6),
            video_line(3, "0.0", "7"), video_line(4, "60000.0", ""),
        ]  # fmt: skip
        write(folder / f"user_features_{variant}{ending}", USER_COLUMNS, users)
        write(folder / f"video_features_basic_{variant}{ending}", VIDEO_COLUMNS, videos)
        for name, lines in logs.items():
            stem, _, part = name.partition("__")
            write(folder / f"{stem}_{variant}{'_' + part if part else ''}{ending}", LOG_COLUMNS, lines)
        return tmp_path

    return made


def columns(dataset: Dataset, *names: str) -> list[list[Any]]:
    return [dataset.log.table[name].to_list() for name in names]


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
@pytest.mark.parametrize("place", ["", "data", "KuaiRand-Pure/data"])
def test_places_and_endings(make: Callable[..., Path], ending: str, place: str) -> None:
    dataset = load(make(ending=ending, place=place, **{LATE: [row(3, 4)]}))
    assert dataset.user_outside_id.tolist() == [3]
    assert dataset.catalog.outside_id.tolist() == [4]
    assert dataset.log.source["dataset"] == "KuaiRand-pure"


def test_the_registry_knows_it() -> None:
    assert LOADERS.get("kuairand") is load
    assert LOADERS.names() >= ["event_log", "kuairand"]


def test_rows_become_a_log(make: Callable[..., Path]) -> None:
    later = row(3, 1, NOON_MS + 1, is_click=1, is_like=1, long_view=1, play_time_ms=45_000, duration_ms=20_000)
    folder = make(**{LATE: [row(6, 0, is_hate=1), later, row(3, 0, is_follow=1, is_comment=1, is_forward=1)]})
    dataset = load(folder)
    assert dataset.log.feedback == FEEDBACK
    assert columns(dataset, "user", "item", "watch_time_s", "time_ms") == [
        [0, 0, 1], [0, 1, 0], [1.5, 45.0, 1.5], [NOON_MS, NOON_MS + 1, NOON_MS]
    ]  # fmt: skip
    assert dataset.log.feedback_matrix().astype(int).tolist() == [
        [0, 0, 0, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1]
    ]  # fmt: skip
    assert columns(dataset, "extra_hour", "extra_tab") == [[12, 12, 12], [1, 1, 1]]
    assert "1 rows have a watch time above the duration (loops); kept." in dataset.notes
    assert dataset.log.table["extra_hour"].dtype == dataset.log.table["extra_tab"].dtype == pl.Int8


def test_duplicates_are_dropped_unless_wanted(make: Callable[..., Path]) -> None:
    other = row(0, 0, comment_stay_time=7)
    folder = make(**{EARLY: [row(0, 0), row(0, 0)], LATE: [row(0, 0), other]})
    dropped = load(folder)
    assert len(dropped.log) == 2
    assert "2 exact duplicate rows dropped." in dropped.notes
    assert len(load(folder, Settings(drop_duplicates=False)).log) == 4
    assert len(load(folder, Settings(chunk_rows=1)).log) == 2


def test_order_is_user_then_time_then_file(make: Callable[..., Path]) -> None:
    folder = make(**{LATE: [row(3, 0, NOON_MS + 5), row(0, 1, NOON_MS + 9), row(3, 2), row(3, 1), row(0, 0)]})
    assert columns(load(folder), "user", "item", "time_ms") == [
        [0, 0, 1, 1, 1], [0, 1, 2, 1, 0], [NOON_MS, NOON_MS + 9, NOON_MS, NOON_MS, NOON_MS + 5]
    ]  # fmt: skip


def test_pure_sessions_are_days_in_beijing(make: Callable[..., Path]) -> None:
    midnight = NOON_MS + 12 * 60 * MINUTE_MS
    times = [NOON_MS, NOON_MS, NOON_MS + 300 * MINUTE_MS, midnight - 1, midnight]
    lines = [row(0, i, at) for i, at in enumerate(times)] + [row(3, 0, midnight)]
    dataset = load(make(**{LATE: lines}))
    assert columns(dataset, "session", "step", "position", "extra_hour") == [
        [0, 0, 0, 0, 1, 2], [0, 0, 1, 2, 0, 0], [0, 1, 0, 0, 0, 0], [12, 12, 17, 23, 0, 0]
    ]  # fmt: skip
    assert any("a session is one user and Beijing day" in note for note in dataset.notes)
    dataset.log.sessions()


@pytest.mark.parametrize("variant", ["1k", "27k"])
def test_other_sessions_end_after_a_gap(make: Callable[..., Path], variant: str) -> None:
    times = [NOON_MS, NOON_MS + 30 * MINUTE_MS, NOON_MS + 60 * MINUTE_MS + 1, NOON_MS + 61 * MINUTE_MS]
    folder = make(variant, **{LATE: [row(0, i, at) for i, at in enumerate(times)]})
    assert columns(load(folder), "session", "step") == [[0, 0, 1, 1], [0, 1, 0, 1]]
    assert columns(load(folder, Settings(session_gap_min=29)), "session")[0] == [0, 1, 2, 2]


def test_parts_of_27k_are_all_read(make: Callable[..., Path]) -> None:
    logs = {f"{EARLY}__part1": [row(0, 0)], f"{EARLY}__part2": [row(0, 1, NOON_MS + 1)],
            f"{LATE}__part1": [row(3, 2)], f"{LATE}__part2": [row(6, 3)]}  # fmt: skip
    dataset = load(make("27k", ".csv.gz", "KuaiRand-27K/data", **logs))
    assert columns(dataset, "user", "item") == [[0, 0, 1, 2], [0, 1, 2, 3]]
    assert dataset.log.source["files"].count("part") == 4


def test_tab_and_dates_select(make: Callable[..., Path]) -> None:
    lines = [row(0, i, NOON_MS + i, date=20220424 + i, tab=i % 2) for i in range(4)]
    folder = make(**{LATE: lines})
    assert columns(load(folder), "extra_tab")[0] == [1, 1]
    assert columns(load(folder, Settings(tab=None, first_date=20220425, last_date=20220426)), "time_ms")[0] == [
        NOON_MS + 1, NOON_MS + 2
    ]  # fmt: skip
    with pytest.raises(BadData, match=r"no row is left with tab 5.*tabs \[0, 1\] and dates 20220424 \.\. 20220427"):
        load(folder, Settings(tab=5))


def test_a_share_of_the_users_is_whole_users(make: Callable[..., Path]) -> None:
    folder = make(**{LATE: [row(user, video) for user in range(400) for video in (0, 1)]})
    write(folder / "user_features_pure.csv", USER_COLUMNS, [user_line(user) for user in range(400)])
    half, more = (load(folder, Settings(user_share=share)) for share in (0.5, 0.6))
    assert 160 < len(half.user_outside_id) < 240  # four standard deviations
    assert len(half.log) == 2 * len(half.user_outside_id)
    assert np.isin(half.user_outside_id, more.user_outside_id).all()


def test_standard_and_random_rows(make: Callable[..., Path]) -> None:
    folder = make(**{LATE: [row(0, 0)], RANDOM: [row(0, 1, NOON_MS + 1, is_rand=1)]})
    assert columns(load(folder), "extra_is_random")[0] == [False]
    assert columns(load(folder, Settings(source="random")), "extra_is_random")[0] == [True]
    assert columns(load(folder, Settings(source="both")), "extra_is_random")[0] == [False, True]
    with pytest.raises(BadData, match=r"no log for source 'random'.*Copy log_random_"):
        load(make(place="b", **{LATE: [row(0, 0)]}) / "b", Settings(source="random"))


def test_durations_are_filled_and_never_zero(make: Callable[..., Path]) -> None:
    lines = [row(0, video, NOON_MS + video, duration_ms=0 if video in (2, 3) else 10_000) for video in range(5)]
    dataset = load(make(**{LATE: lines}))
    # Video 2: median of tag 39 (video 0 alone: 10 s; the main tag of video 1 is 3). Video 3: median of 10, 20, 60 s.
    assert dataset.catalog.duration_s.tolist() == [10.0, 20.0, 10.0, 20.0, 60.0]
    assert columns(dataset, "extra_duration_known")[0] == [True, True, False, False, True]
    # A video's duration is the same whichever rows were selected.
    alone = load(make(place="b", **{LATE: [row(0, 2, duration_ms=0)]}) / "b").catalog
    assert alone.duration_s.tolist() == [10.0]
    assert "2 of 5 videos have no duration: filled with the median of their main tag." in dataset.notes
    assert "2 rows have duration 0 (unknown)." in dataset.notes
    assert "2 rows have another duration than the video table; the table wins." in dataset.notes


def test_tags_are_lists_of_numbers(make: Callable[..., Path]) -> None:
    catalog = load(make(**{LATE: [row(0, 0)]}), Settings(items="all")).catalog
    assert catalog.tags.tolist() == [[39, -1, -1], [3, 39, -1], [39, -1, -1], [7, -1, -1], [-1, -1, -1]]
    assert catalog.tags.dtype == np.int16
    assert not catalog.appeal.any()


def test_content_vectors_follow_tags_and_authors(make: Callable[..., Path]) -> None:
    folder = make(**{LATE: [row(0, 0)]})
    every = load(folder, Settings(items="all")).catalog
    np.testing.assert_allclose(np.linalg.norm(every.vector, axis=1), 1.0, atol=1e-6)
    assert every.vector.shape == (5, 16)
    alone = load(folder).catalog
    assert alone.vector[0].tolist() == every.vector[0].tolist()
    similar = every.vector @ every.vector[0]
    # Videos 0 and 2 share the tag, not the author: v0 - v2 along the tag; video 4 has the author alone.
    assert similar[2] > 0.4
    assert similar[1] > similar[3]
    assert load(folder, Settings(dimension=4)).catalog.vector.shape == (1, 4)


def test_profiles(make: Callable[..., Path]) -> None:
    dataset = load(make(**{LATE: [row(0, 0)]}), Settings(users="all"))
    assert dataset.user_outside_id.tolist() == [0, 3, 6]
    assert dataset.profile_names == PROFILE_NAMES
    counts = [np.log(515) / 10, np.log(151) / 10, np.log(35) / 10, 799 / 3650]
    expected = [[1, 0, 0, 0, 1, 1, *counts], [0, 0, 0, 1, 1, 0, *counts], [0, 0, 0, 1, 0, 0, *counts]]
    np.testing.assert_allclose(dataset.profile, expected, rtol=1e-6)
    assert dataset.profile.dtype == np.float32
    assert "1 of 3 users have is_live_streamer -124 (unknown): taken as 0." in dataset.notes
    assert "2 users of other activity classes count as low_active." in dataset.notes


def test_the_pool_of_the_large_variants_is_the_random_log(make: Callable[..., Path]) -> None:
    logs = {LATE: [row(0, 0), row(0, 1, NOON_MS + 1)], RANDOM: [row(3, 1, is_rand=1), row(3, 4, is_rand=1)]}
    dataset = load(make("1k", **logs), Settings(items="pool"))
    assert dataset.catalog.outside_id.tolist() == [1, 4]
    assert columns(dataset, "item")[0] == [0]
    with pytest.raises(BadData, match="items 'pool' needs the random log"):
        load(make("1k", place="b", **{LATE: [row(0, 0)]}) / "b", Settings(items="pool"))


def test_which_logs_are_read(make: Callable[..., Path]) -> None:
    folder = make(**{EARLY: [row(0, 0)]})
    write(folder / f"{LATE}_pure.head1000.csv", LOG_COLUMNS, [row(0, 1)])
    write(folder / "log_standard_4_25_to_5_04_pure.extract.csv.gz", LOG_COLUMNS, [row(0, 2)])
    assert load(folder).catalog.outside_id.tolist() == [0]
    named = load(folder, Settings(logs=(f"{LATE}_pure.head1000.csv",)))
    assert named.catalog.outside_id.tolist() == [1]
    (folder / f"{EARLY}_pure.csv").unlink()
    assert load(folder).catalog.outside_id.tolist() == [2]
    with pytest.raises(BadData, match=r"nothing\.csv: no such file; .* holds log_standard_4_22"):
        load(folder, Settings(logs=("nothing.csv",)))


def test_a_file_that_is_there_twice_is_read_once(make: Callable[..., Path]) -> None:
    folder = make(**{LATE: [row(0, 0)]})
    write(folder / f"{LATE}_pure.csv.gz", LOG_COLUMNS, [row(0, 1)])
    assert load(folder).catalog.outside_id.tolist() == [0]


def test_a_wrong_header_is_explained(make: Callable[..., Path]) -> None:
    folder = make()
    path = folder / f"{LATE}_pure.csv"
    write(path, LOG_COLUMNS[:15], [])
    with pytest.raises(
        BadData,
        match=r"pure\.csv: the header has 15 columns; 19 are expected; missing: comment_stay_time, is_p.*zenodo",
    ):
        load(folder)
    write(path, (*LOG_COLUMNS, "split"), [])
    with pytest.raises(BadData, match="unexpected: split"):
        load(folder)
    write(path, (LOG_COLUMNS[1], LOG_COLUMNS[0], *LOG_COLUMNS[2:]), [])
    with pytest.raises(BadData, match="another order or repeated: column 1 is 'video_id'"):
        load(folder)
    path.write_text("")
    with pytest.raises(BadData, match="the file is empty"):
        load(folder)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"play_time_ms": -5}, r"pure\.csv: line 3: play_time_ms = -5 \(milliseconds\); allowed: 0"),
        ({"user_id": 27285}, r"line 3: user_id = 27285 \(user ids of KuaiRand-pure\); allowed: 0 \.\. 27284"),
        ({"video_id": 7583}, r"line 3: video_id = 7583"),
        ({"is_like": 2}, r"line 3: is_like = 2"),
        ({"tab": 15}, r"line 3: tab = 15"),
        ({"date": 20230425}, r"line 3: date = 20230425"),
        ({"time_ms": 1_650_859_200}, r"line 3: time_ms = 1650859200 \(UTC milliseconds"),
        ({"is_click": "True"}, r"in column 'is_click': line 3.*invalid value 'True'"),
        ({"is_click": ""}, r"line 3: is_click is empty"),
        ({"is_click": "1,1"}, r"line 3: Expected 19 columns, got 20"),
    ],
)
def test_impossible_values_are_named(make: Callable[..., Path], changed: dict[str, Any], message: str) -> None:
    values = dict(changed)
    user, video, at_ms = values.pop("user_id", 0), values.pop("video_id", 0), values.pop("time_ms", NOON_MS)
    with pytest.raises(BadData, match=message):
        load(make(**{LATE: [row(0, 0), row(user, video, at_ms, **values)]}))


def test_the_line_is_right_in_a_later_piece(make: Callable[..., Path]) -> None:
    lines = [row(0, 0, NOON_MS + i) for i in range(500)] + [row(0, 0, play_time_ms=-5)]
    with pytest.raises(BadData, match="line 502: play_time_ms = -5"):
        load(make(**{LATE: lines}), Settings(chunk_rows=1))
    lines[-1] = row(0, 0, play_time_ms="x")
    with pytest.raises(BadData, match="line 502"):
        load(make(place="b", **{LATE: lines}) / "b", Settings(chunk_rows=1))


def test_unknown_ids_are_named(make: Callable[..., Path]) -> None:
    with pytest.raises(BadData, match=r"video_features_basic_pure\.csv: lacks 2 video_id values .*: 77, 99|as 77, 99"):
        load(make(**{LATE: [row(0, 99), row(0, 77)]}))
    with pytest.raises(BadData, match=r"user_features_pure\.csv: lacks 1 user_id values .* 5\. .*one archive"):
        load(make(place="b", **{LATE: [row(5, 0)]}) / "b", Settings(users="all"))


def test_truncated_files_are_named(make: Callable[..., Path]) -> None:
    folder = make(ending=".csv.gz", **{LATE: [row(0, 0, NOON_MS + i) for i in range(3000)]})
    path = folder / f"{LATE}_pure.csv.gz"
    whole = path.read_bytes()
    for size in (len(whole) // 2, 12):
        path.write_bytes(whole[:size])
        with pytest.raises(BadData, match=r"pure\.csv\.gz: truncated or damaged"):
            load(folder)


def test_a_plain_file_cut_off_in_a_line_is_named(make: Callable[..., Path]) -> None:
    folder = make(**{LATE: [row(0, 0), "0,1,202"]})
    with pytest.raises(BadData, match="line 3: Expected 19 columns, got 3"):
        load(folder)


def test_bad_tables_are_named(make: Callable[..., Path]) -> None:
    folder = make(**{LATE: [row(0, 0)]})
    videos = folder / "video_features_basic_pure.csv"
    write(videos, VIDEO_COLUMNS, [video_line(0), video_line(0)])
    with pytest.raises(BadData, match="video_id 0 occurs more than once"):
        load(folder)
    write(videos, VIDEO_COLUMNS, [video_line(0, tag="cats")])
    with pytest.raises(BadData, match=r"video_features_basic_pure\.csv: tag 'cats' is no number"):
        load(folder)
    write(videos, VIDEO_COLUMNS, [video_line(0, "")])
    with pytest.raises(BadData, match="none of the 1 items has a duration"):
        load(folder)
    write(videos, VIDEO_COLUMNS[:-1], [])
    with pytest.raises(BadData, match="missing: tag"):
        load(folder)
    videos.unlink()
    with pytest.raises(BadData, match=r"lacks video_features_basic_pure\.csv"):
        load(folder)


def test_folders_without_or_with_several_variants(make: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no KuaiRand here"):
        load(tmp_path)
    make("pure", **{LATE: [row(0, 0)]})
    folder = make("1k", **{LATE: [row(3, 1)]})
    with pytest.raises(WrongSetting, match="variants 1k, pure; set variant"):
        load(folder)
    assert load(folder, Settings(variant="1k")).user_outside_id.tolist() == [3]
    with pytest.raises(BadData, match="no KuaiRand-27k here"):
        load(folder, Settings(variant="27k"))


@pytest.mark.parametrize(
    "wrong",
    [{"tab": 15}, {"source": "any"}, {"user_share": 0.0}, {"chunk_rows": 0}, {"dimension": 1}, {"variant": "x"}],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongSetting, match=next(iter(wrong))):
        Settings(**wrong)
    with pytest.raises(WrongSetting, match="after last_date"):
        Settings(first_date=20220426, last_date=20220425)


# --- the real extract ---------------------------------------------------------------------------------------------

REAL = Path(os.environ.get("RECGYM_DATA", Path(__file__).parents[2] / "shared" / "data")) / "kuairand_pure"
EXTRACT = "log_standard_4_25_to_5_04_pure.extract.csv.gz"
needs_data = [
    pytest.mark.data,
    pytest.mark.skipif(
        not (REAL / EXTRACT).is_file(), reason=f"no KuaiRand extract in {REAL}; set RECGYM_DATA to its folder"
    ),
]


@pytest.fixture(scope="module")
def real() -> Dataset:
    return load(REAL, Settings(items="all", users="all"))


class TestRealExtract:
    pytestmark = needs_data

    def test_sizes(self, real: Dataset) -> None:
        assert len(real.log) == 129_822
        assert len(real.catalog) == 7_583
        assert real.profile.shape == (27_285, 10)

    def test_rows_per_day(self) -> None:
        for date, expected in ((20220425, 10_929), (20220430, 16_148), (20220504, 13_745)):
            assert len(load(REAL, Settings(first_date=date, last_date=date)).log) == expected

    def test_the_catalogue(self, real: Dataset) -> None:
        assert len(np.unique(real.catalog.tags[real.catalog.tags >= 0])) == 46
        assert (real.catalog.tag == 39).sum() > 1_000
        for note in (
            "239 of 7583 videos have no duration: filled with the median of their main tag.",
            "96 videos have no tag.",
            "21127 of 27285 users have is_live_streamer -124 (unknown): taken as 0.",
        ):
            assert note in real.notes

    def test_duplicates(self) -> None:
        every = Settings(tab=None)
        assert "4390 exact duplicate rows dropped." in load(REAL, every).notes

    def test_published_rules_explain_the_labels(self, real: Dataset) -> None:
        known = real.log.array("extra_duration_known")
        watch, duration = real.log.array("watch_time_s"), real.catalog.duration_s[real.log.array("item")]
        agree = [(rule(watch, duration) == real.log.array(name))[known].mean()
                 for name, rule in (("long_view", long_view), ("click", valid_play))]  # fmt: skip
        assert agree[0] == pytest.approx(0.997, abs=0.002)
        assert agree[1] == pytest.approx(0.986, abs=0.002)

    def test_rates_are_those_of_the_feed(self, real: Dataset) -> None:
        rates = dict(zip(real.log.feedback, real.log.feedback_matrix().mean(axis=0), strict=True))
        # Published for the same tab over a few more days.
        assert rates["click"] == pytest.approx(0.494, abs=0.01)
        assert rates["long_view"] == pytest.approx(0.348, abs=0.01)
        assert rates["like"] == pytest.approx(0.0194, abs=0.002)
        assert rates["follow"] == pytest.approx(0.0014, abs=0.0004)
        assert rates["comment"] == pytest.approx(0.0029, abs=0.0004)
        assert rates["forward"] == pytest.approx(0.0010, abs=0.0004)
        assert rates["hate"] == pytest.approx(0.0009, abs=0.0004)
        assert 20.0 < real.log.array("watch_time_s").mean() < 30.0

    def test_sessions_are_whole(self, real: Dataset) -> None:
        start, stop = real.log.sessions()
        assert (stop - start).sum() == 129_822
        assert (np.diff(real.log.array("user")) >= 0).all()
