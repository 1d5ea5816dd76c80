"""The catalogue: arrays that belong together, durations that are durations, and a file that gives them back."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recgym.catalog import APPEAL, Catalog
from recgym.errors import BadData, WrongShape
from recgym.storage import write_arrays


def arrays(n: int = 4, d: int = 3) -> dict[str, np.ndarray]:
    """The arguments of a small valid catalogue."""
    return {
        "vector": np.arange(n * d, dtype=np.float32).reshape(n, d),
        "duration_s": np.linspace(5.0, 60.0, n, dtype=np.float32),
        "tags": np.stack([np.arange(n), np.full(n, -1)], axis=1).astype(np.int16),
        "outside_id": np.arange(100, 100 + n),
        "appeal_vector": np.ones((n, d), np.float32),
        "appeal": np.zeros((n, len(APPEAL)), np.float32),
    }


def with_one(name: str, value: Any) -> dict[str, np.ndarray]:
    return {**arrays(), name: value}


def test_what_it_says_of_itself() -> None:
    catalog = Catalog(**arrays())
    assert len(catalog) == 4
    assert catalog.n_tags == 4
    np.testing.assert_array_equal(catalog.tag, [0, 1, 2, 3])


def test_one_item_is_a_catalogue() -> None:
    assert len(Catalog(**arrays(n=1))) == 1


def test_items_are_always_available_unless_told_otherwise() -> None:
    window = Catalog(**arrays()).available_h
    assert window.shape == (4, 2)
    assert np.all(window[:, 0] == -np.inf)
    assert np.all(window[:, 1] == np.inf)


def test_items_without_tags_have_none() -> None:
    catalog = Catalog(**with_one("tags", np.full((4, 1), -1, np.int16)))
    assert catalog.n_tags == 0
    assert np.all(catalog.tag == -1)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("duration_s", (5,)), ("duration_s", (4, 1)), ("tags", (3, 2)), ("outside_id", (3,)), ("vector", (5, 3)),
        ("vector", (4,)), ("appeal_vector", (3, 3)), ("appeal_vector", (5, 2)), ("appeal", (4, 5)),
        ("available_h", (4, 3)),
    ],
)  # fmt: skip
def test_arrays_that_do_not_belong_together_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(WrongShape, match=r"Catalog\.\w+ has shape \(.*\); \(.*\) was expected"):
        Catalog(**with_one(name, np.ones(shape, np.float32)))


def test_users_may_perceive_more_or_fewer_numbers_than_the_platform_knows() -> None:
    for width in (1, 2, 7):
        catalog = Catalog(**with_one("appeal_vector", np.ones((4, width), np.float32)))
        assert catalog.vector.shape == (4, 3)
        assert catalog.appeal_vector.shape == (4, width)


@pytest.mark.parametrize("name", ["vector", "appeal_vector", "appeal"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused_and_the_item_named(name: str, value: float) -> None:
    array = arrays()[name].copy()
    array[2:, 1] = value
    with pytest.raises(BadData, match=rf"item 2: Catalog\.{name} holds NaN or infinity; numbers are needed"):
        Catalog(**with_one(name, array))


def test_the_message_names_the_wrong_array_and_both_shapes() -> None:
    with pytest.raises(WrongShape, match=r"Catalog\.appeal has shape \(4, 5\); \(4, 6\) was expected\."):
        Catalog(**with_one("appeal", np.ones((4, 5), np.float32)))


def test_no_items_are_no_catalogue() -> None:
    with pytest.raises(WrongShape, match="at least one item"):
        Catalog(**arrays(n=0))


@pytest.mark.parametrize("duration_s", [0.0, -1.0, np.nan, np.inf])
def test_a_duration_that_is_none_is_refused_and_the_item_named(duration_s: float) -> None:
    durations = arrays()["duration_s"].copy()
    durations[2:] = duration_s
    with pytest.raises(BadData, match=r"item 2 \(outside id 102\) has duration_s .*; .* 2 of 4 items are affected"):
        Catalog(**with_one("duration_s", durations))


def test_save_and_load_give_the_same_arrays(tmp_path: Path) -> None:
    window = np.array([[0, 24], [-np.inf, np.inf], [1, 2], [3, np.inf]], np.float32)
    catalog = Catalog(**arrays(), available_h=window)
    catalog.save(tmp_path / "catalog.npz")
    back = Catalog.load(tmp_path / "catalog.npz")
    for field in fields(Catalog):
        mine, theirs = getattr(catalog, field.name), getattr(back, field.name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_load_refuses_another_file(tmp_path: Path) -> None:
    write_arrays(tmp_path / "other.npz", {"vector": np.ones((2, 2), np.float32)})
    with pytest.raises(BadData, match="lacks duration_s"):
        Catalog.load(tmp_path / "other.npz")
