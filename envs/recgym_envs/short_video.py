"""recgym/ShortVideo-v0: an immersive feed, one video a step."""

from recgym.users.defaults import calibrated_users
from recgym.users.synthetic import synthetic_catalog
from recgym_envs.worlds import World

WORLD = World(
    summary="Immersive short-video feed: one video a step, reward is watch time in seconds.",
    users=calibrated_users,
    catalog=synthetic_catalog,
    n_items=7_583,
)
