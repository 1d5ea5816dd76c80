"""Checks that the settings of several agents share; each names the agent, the setting, what came, what is allowed."""

from __future__ import annotations

import math

from recgym.errors import WrongSetting


def check_share(owner: str, **shares: float) -> None:
    """Refuse settings that are no shares between 0 and 1."""
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise WrongSetting(f"{owner}: {name} is {value}; it must lie in [0, 1].")


def check_positive(owner: str, **numbers: float) -> None:
    """Refuse settings that are not finite numbers above 0."""
    for name, value in numbers.items():
        if not (math.isfinite(value) and value > 0):
            raise WrongSetting(f"{owner}: {name} is {value}; a finite number above 0 is needed.")


def check_not_negative(owner: str, **numbers: float) -> None:
    """Refuse settings that are not finite numbers from 0."""
    for name, value in numbers.items():
        if not (math.isfinite(value) and value >= 0):
            raise WrongSetting(f"{owner}: {name} is {value}; a finite number, not negative, is needed.")


def check_widths(owner: str, hidden: tuple[int, ...]) -> None:
    """Refuse widths of hidden layers that are not whole numbers above 0."""
    if any(int(width) != width or width < 1 for width in hidden):
        raise WrongSetting(f"{owner}: hidden is {hidden}; widths of layers are whole numbers above 0.")
