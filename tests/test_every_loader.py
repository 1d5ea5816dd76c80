"""Every registered loader keeps the rules on a tiny data set; a loader without one fails here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import broken_fakes
import pytest

from recgym.loaders import LOADERS
from recgym.testing import check_loader


def event_log(folder: Path) -> None:
    broken_fakes.write_events(folder)


LOG_HEADER = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)
LOG_ROWS = """3,1,20220425,1200,1650859260000,1,1,0,0,0,0,1,45000,20000,0,0,0,0,1
0,0,20220425,1200,1650859200000,0,0,0,0,0,0,0,1500,10000,0,0,0,0,1
3,0,20220425,1200,1650859200000,0,0,0,0,0,1,0,500,10000,0,0,0,0,1
3,0,20220425,1200,1650859200000,0,0,0,0,0,1,0,500,10000,0,0,0,0,1
0,1,20220426,0900,1650934800000,1,0,1,1,1,0,0,8000,20000,0,0,0,0,1"""
USERS = """user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,\
follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,\
register_days_range,onehot_feat0,onehot_feat1,onehot_feat2,onehot_feat3,onehot_feat4,onehot_feat5,onehot_feat6,\
onehot_feat7,onehot_feat8,onehot_feat9,onehot_feat10,onehot_feat11,onehot_feat12,onehot_feat13,onehot_feat14,\
onehot_feat15,onehot_feat16,onehot_feat17
0,full_active,0,1,1,514,"(250,500]",150,"[100,1k)",34,"[30,60)",799,730+,1,1,29,949,,0,0,0,0,0,0,0,,,,,,
3,2_14_day_new,0,-124,0,5,"(0,10]",0,0,0,0,12,8-14,1,1,29,949,,0,0,0,0,0,0,0,,,,,,"""
VIDEOS = """video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,\
server_height,music_id,music_type,tag
0,5,NORMAL,2022-04-10,LongImport,0.0,10000.0,720.0,1280.0,0,,39
1,6,AD,2022-04-11,ShortCamera,0.0,,720.0,1280.0,0,,"3,39" """


def kuairand(folder: Path) -> None:
    """Two users, two videos (one of unknown duration), five rows, one of them twice, not in order."""
    (folder / "log_standard_4_22_to_5_08_pure.csv").write_text(f"{LOG_HEADER}\n{LOG_ROWS}\n")
    (folder / "user_features_pure.csv").write_text(USERS + "\n")
    (folder / "video_features_basic_pure.csv").write_text(VIDEOS.strip() + "\n")


TINY: dict[str, Callable[[Path], None]] = {"event_log": event_log, "kuairand": kuairand}
"""Loader -> what writes a tiny data set into an empty folder."""


@pytest.mark.parametrize("name", LOADERS.names())
def test_loader_keeps_the_rules(name: str, tmp_path: Path):
    assert name in TINY, f"the loader {name!r} has no tiny data set; write one and enter it into TINY."
    TINY[name](tmp_path)
    data = check_loader(LOADERS.get(name), tmp_path)
    assert data.notes, "each loader says what it did with the data"


def test_every_tiny_data_set_belongs_to_a_loader():
    assert set(TINY) == set(LOADERS.names())
