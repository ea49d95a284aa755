"""pavlovian-attention works: linear attention is a Hebbian memory, whose capacity grows with the width of its keys."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, gap

WIDTHS = (32, 64, 128, 256)


def recalled(keys: Tensor, values: Tensor, cues: Tensor) -> Tensor:
    """What unnormalised linear attention with no feature map reads."""
    q, k, v = (x[None, None] for x in (cues, keys, values))
    return rg.operators.linear(q, k, v, feature="none", normalise=False)[0, 0]


def error(width: int, pairs: int, seed: int) -> float:
    """Mean squared error of recall, per unit of value, over random keys of length 1."""
    keys = F.normalize(drawn(pairs, width, seed=seed), dim=-1)
    values = drawn(pairs, 8, seed=seed + 1)
    return float((recalled(keys, values, keys) - values).square().mean())


def capacity(width: int) -> int:
    """The most pairs whose recall error stays below 1/4, mean of eight draws."""
    pairs = 2
    while sum(error(width, pairs, 100 * s) for s in range(8)) / 8 < 0.25:
        pairs += 1
    return pairs - 1


@works("pavlovian-attention")
def test_linear_attention_is_a_hebbian_matrix_read_by_a_query() -> None:
    """Conditioned and unconditioned stimuli stored one by one as outer products; exact to 1e-12."""
    keys, values, cues = drawn(20, 8), drawn(20, 5, seed=1), drawn(7, 8, seed=2)
    memory = torch.zeros(8, 5).double()
    for key, value in zip(keys, values, strict=True):
        memory += torch.outer(key, value)
    assert gap(recalled(keys, values, cues), cues @ memory) < 1e-12


@works("pavlovian-attention")
def test_recall_error_rises_with_the_pairs_as_predicted() -> None:
    """Random keys of length 1 disturb each other by (pairs - 1) / width on average: rising, and within 20 %."""
    for width in WIDTHS:
        counts = [width // 4, width // 2, width, 2 * width]
        found = [sum(error(width, n, 100 * s) for s in range(64)) / 64 for n in counts]
        assert found == sorted(found)
        assert all(abs(e * width / (n - 1) - 1) < 0.2 for n, e in zip(counts, found, strict=True))


@works("pavlovian-attention")
def test_the_threshold_grows_linearly_with_the_width() -> None:
    """Other pairs that a pair bears with an error below 1/4: about width / 4 for widths 32 to 256, within 20 %.

    Orthogonal keys, a planted exception, are recalled without any error up to the width.
    """
    assert all(abs((capacity(width) - 1) / (width / 4) - 1) < 0.2 for width in WIDTHS)
    keys = torch.linalg.qr(drawn(32, 32)).Q
    values = drawn(32, 8, seed=1)
    assert gap(recalled(keys, values, keys), values) < 1e-10
