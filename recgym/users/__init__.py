"""Ready-made user models; the registry that worlds look them up in."""

from recgym.registry import Registry

USER_MODELS: Registry[object] = Registry("user model", "recgym.user_models")
"""Name -> a function or class without required arguments that makes a `UserModel`."""

USER_MODELS.add("calibrated", "recgym.users.defaults:calibrated_users")
