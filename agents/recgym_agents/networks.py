"""Networks that know no algorithm, and their evaluation so that a row's bits never depend on its batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from recgym.catalog import Catalog
from recgym.compiled import compiled

BLOCK = 256
"""Rows evaluated at once; the last block is padded with zeros."""


def mlp(widths: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers from widths[0] inputs to widths[-1] outputs, with `activation` between them."""
    layers: list[nn.Module] = []
    for i in range(len(widths) - 1):
        layers.append(nn.Linear(widths[i], widths[i + 1]))
        if i < len(widths) - 2:
            layers.append(activation())
    return nn.Sequential(*layers)


class Standardise(nn.Module):
    """(x - mean) / scale per column, clipped to +-10; identity until `fit` has seen data."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def fit(self, rows: np.ndarray) -> None:
        """Take mean and standard deviation from rows (n, width); constant columns keep scale 1."""
        spread = rows.std(axis=0, dtype=np.float64)
        self.mean = torch.as_tensor(rows.mean(axis=0, dtype=np.float64), dtype=torch.float32)
        self.scale = torch.as_tensor(np.where(spread > 1e-6, spread, 1.0), dtype=torch.float32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, width) -> (n, width)."""
        return torch.clamp((x - self.mean) / self.scale, -10.0, 10.0)


class ItemScorer(nn.Module):
    """Scores every item for every user by a dot product of two towers.

    The user tower is an MLP over the flat observation. An item's vector is a linear map of what the platform knows of
    it (content vector, log duration) plus a learned embedding of its id; its bias likewise. Scoring
    the whole catalogue is then one matrix product, or `recgym_agents.slates` over `item_columns`.

    Args:
        user_width: D, columns of the observation.
        catalog: the items.
        hidden: widths of the user tower's hidden layers.
        dimension: d, length of the vectors that are multiplied.
    """

    def __init__(self, user_width: int, catalog: Catalog, hidden: Sequence[int], dimension: int) -> None:
        super().__init__()
        known = np.column_stack([catalog.vector, 0.2 * np.log1p(catalog.duration_s)]).astype(np.float32)
        self.known: torch.Tensor
        self.register_buffer("known", torch.as_tensor(known), persistent=False)
        self.observed = Standardise(user_width)
        self.features = Standardise(known.shape[1])
        self.features.fit(known)
        self.user_tower = mlp([user_width, *hidden, dimension])
        self.item_map = nn.Linear(known.shape[1], dimension + 1)
        self.item_id = nn.Embedding(len(catalog), dimension + 1)
        nn.init.zeros_(self.item_id.weight)
        self.scale = dimension**-0.5

    def user(self, flat: torch.Tensor) -> torch.Tensor:
        """(n, D) -> (n, d + 1): the query of each user, its last coordinate 1 for the item's bias."""
        query = self.user_tower(self.observed(flat)) * self.scale
        return torch.cat([query, torch.ones_like(query[:, :1])], dim=1)

    def item(self, item: torch.Tensor) -> torch.Tensor:
        """(...) int64 item numbers -> (..., d + 1): their vectors, the last coordinate the bias."""
        return torch.as_tensor(self.item_map(self.features(self.known[item])) + self.item_id(item))

    def item_columns(self) -> np.ndarray:
        """(d + 1, N) float32, contiguous: the vectors of the whole catalogue."""
        with torch.no_grad():
            rows = self.item(torch.arange(len(self.known)))
        return np.ascontiguousarray(rows.numpy().T)


def in_blocks(function: Callable[[torch.Tensor], torch.Tensor], rows: np.ndarray) -> np.ndarray:
    """function(rows) for rows (n, D) float32, without gradients: n rows together equal n rows one by one, bit for bit.

    Two things would break this. Element-wise functions treat the last few numbers of a tensor apart, so rows come in
    blocks of 256, the last one padded. And a matrix product may add up in another order depending on the row's
    place even within a block of one size (seen with MKL, up to 8 outputs), so linear layers go through `exact_linear`.
    """
    blocks = []
    with torch.no_grad(), _ExactLinearLayers():
        for start in range(0, max(len(rows), 1), BLOCK):
            block = np.zeros((BLOCK, rows.shape[1]), np.float32)
            block[: len(rows) - start] = rows[start : start + BLOCK]
            blocks.append(function(torch.from_numpy(block)).numpy())
    return np.concatenate(blocks)[: len(rows)]


def exact_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x (..., k) times weight (o, k) transposed, plus bias (o,): every row is added up alike, whatever its place."""
    columns = np.ascontiguousarray(weight.detach().numpy().T)
    start = np.zeros(len(weight), np.float32) if bias is None else bias.detach().numpy()
    rows = np.ascontiguousarray(x.detach().numpy().reshape(-1, x.shape[-1]))
    out = np.empty((len(rows), len(weight)), np.float32)
    _linear(rows, columns, start, out)
    return torch.from_numpy(out).reshape(*x.shape[:-1], len(weight))


class _ExactLinearLayers(TorchFunctionMode):
    """While entered, `torch.nn.functional.linear`, and with it every `nn.Linear`, is `exact_linear`."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return (exact_linear if func is functional.linear else func)(*args, **(kwargs or {}))


@compiled
def _linear(rows: np.ndarray, columns: np.ndarray, start: np.ndarray, out: np.ndarray) -> None:
    k, o = columns.shape
    for i in range(rows.shape[0]):
        total = out[i]
        total[:] = start
        whole = k - k % 4
        for c in range(0, whole, 4):
            x0, x1, x2, x3 = rows[i, c], rows[i, c + 1], rows[i, c + 2], rows[i, c + 3]
            w0, w1, w2, w3 = columns[c], columns[c + 1], columns[c + 2], columns[c + 3]
            for j in range(o):
                total[j] += (x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j])
        for c in range(whole, k):
            x0, w0 = rows[i, c], columns[c]
            for j in range(o):
                total[j] += x0 * w0[j]


@contextmanager
def torch_chance(seed: int) -> Iterator[None]:
    """Torch's chance (initial weights) follows from `seed` inside the block and is untouched outside."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def weights_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Named weights and buffers of a network, as arrays of their own."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of everything `weights_of` gives."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def set_weights(module: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Put arrays back where `weights_of` found them."""
    module.load_state_dict({name: torch.as_tensor(np.array(array)) for name, array in weights.items()})
