"""The public conformance kit: call these in the tests of your own user model, environment, agent or loader.

Each check plays with what it is given and returns nothing (`check_loader`: the data set) if all rules are kept;
otherwise it raises `NotConforming`, whose message names the rule, what was seen at which row and step, and what
to do. All that RecGym registers itself goes through the same checks, and each rule is proven by a fake that breaks it.

    from recgym.testing import check_user_model

    def test_my_users():
        check_user_model(MyUsers())
"""

from recgym.conformance import NotConforming
from recgym.conformance_agents import check_agent
from recgym.conformance_envs import check_env
from recgym.conformance_loaders import check_loader
from recgym.conformance_luck import OnceNoise
from recgym.conformance_users import check_user_model
from recgym.conformance_vectors import check_vector_env

__all__ = [
    "NotConforming",
    "OnceNoise",
    "check_agent",
    "check_env",
    "check_loader",
    "check_user_model",
    "check_vector_env",
]
