"""recgym/SlateFeed-v0: the same people, who receive six videos a request and watch them in order."""

from recgym.users.defaults import calibrated_users
from recgym.users.synthetic import synthetic_catalog
from recgym_envs.worlds import World

WORLD = World(
    summary="Short-video feed served in slates: six videos a request, watched in order, reward is their watch time.",
    users=calibrated_users,
    catalog=synthetic_catalog,
    n_items=7_583,
    settings={"slate_size": 6, "max_steps": 100},
)
