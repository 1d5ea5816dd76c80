"""Networks: a row has the same bits alone, in any batch and at any place; standardising; the two-tower scorer."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the agents need the extra 'train'")

# isort: split
import torch
from test_agents_tiny_world import N_ITEMS, tiny_catalog

from recgym_agents.networks import (
    ItemScorer,
    Standardise,
    exact_linear,
    in_blocks,
    mlp,
    set_weights,
    torch_chance,
    weights_of,
)


@pytest.mark.parametrize("widths", [(5, 8, 4), (37, 6, 3), (101, 64, 64, 1), (1, 1), (83, 128, 33), (16, 8, 500)])
@pytest.mark.parametrize("activation", [torch.nn.ReLU, torch.nn.Tanh])
def test_a_row_has_the_same_bits_in_any_batch(widths: tuple[int, ...], activation: type[torch.nn.Module]) -> None:
    with torch_chance(0):
        network = mlp(widths, activation)
    rows = np.random.default_rng(0).standard_normal((300, widths[0])).astype(np.float32)
    whole = in_blocks(network, rows)
    assert whole.shape == (300, widths[-1])
    order = np.random.default_rng(1).permutation(300)
    np.testing.assert_array_equal(in_blocks(network, rows[order]), whole[order])
    np.testing.assert_array_equal(in_blocks(network, rows[::3]), whole[::3])
    for row in (0, 17, 255, 256, 299):
        np.testing.assert_array_equal(in_blocks(network, rows[row : row + 1])[0], whole[row])
    with torch.no_grad():
        np.testing.assert_allclose(whole, network(torch.as_tensor(rows)).numpy(), atol=2e-5)


def test_no_rows_give_no_rows() -> None:
    assert in_blocks(mlp((3, 2)), np.zeros((0, 3), np.float32)).shape == (0, 2)


@pytest.mark.parametrize("width", [1, 3, 4, 6, 9])
def test_exact_linear_is_a_linear_layer(width: int) -> None:
    x, weight, bias = (
        torch.randn(s, generator=torch.Generator().manual_seed(1)) for s in ((2, 3, width), (5, width), (5,))
    )
    torch.testing.assert_close(exact_linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))
    torch.testing.assert_close(exact_linear(x, weight), torch.nn.functional.linear(x, weight))


def test_standardise() -> None:
    rows = np.column_stack([np.arange(101.0), np.full(101, 5.0)]).astype(np.float32)
    layer = Standardise(2)
    assert torch.equal(layer(torch.as_tensor(rows[:3])), torch.as_tensor(rows[:3]))
    layer.fit(rows)
    out = layer(torch.as_tensor(rows)).numpy()
    assert out[:, 0].mean() == pytest.approx(0, abs=1e-6)
    assert out[:, 0].std() == pytest.approx(1, abs=1e-6)
    assert (out[:, 1] == 0).all()
    assert layer(torch.tensor([[1e9, 5.0]]))[0, 0] == 10


def test_item_scorer_columns_are_its_items() -> None:
    with torch_chance(0):
        scorer = ItemScorer(7, tiny_catalog(), (6,), 3)
        torch.nn.init.normal_(scorer.item_id.weight)
    flat = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        direct = (scorer.user(flat)[:, None, :] * scorer.item(torch.arange(N_ITEMS).expand(4, -1))).sum(dim=2)
        product = scorer.user(flat).numpy() @ scorer.item_columns()
    np.testing.assert_allclose(direct.numpy(), product, atol=1e-5)


def test_weights_come_back() -> None:
    first, second = mlp((3, 4, 2)), mlp((3, 4, 2))
    set_weights(second, weights_of(first))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first(x), second(x))


def test_torch_chance_stays_inside() -> None:
    before = torch.random.get_rng_state()
    with torch_chance(3):
        first = torch.randn(2)
    with torch_chance(3):
        second = torch.randn(2)
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)
