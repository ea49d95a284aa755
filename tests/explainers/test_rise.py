from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.explainers.rise import smooth_masks

from .models import Linear, draw, explained, values


def drawn(x: torch.Tensor, n: int, cells: int = 3, p: float = 0.5, seed: int = 0) -> torch.Tensor:
    """The masks of a run, eight at a time as there."""
    generator = torch.Generator().manual_seed(seed)
    parts = [smooth_masks(min(8, n - at), cells, p, x, generator) for at in range(0, n, 8)]
    return torch.cat(parts)


@pytest.mark.parametrize("divide", ["masks", "expectation"])
def test_equals_the_explicit_weighted_sum(divide: str) -> None:
    model, x = Linear((3, 9, 7)), draw(2, 3, 9, 7, seed=4)
    made = explained(model, x, "rise", forwards=21, cells=3, divide=divide)
    masks = drawn(x, 21)
    for b in range(2):
        y = torch.stack([model(x[b : b + 1] * m)[0, 1] for m in masks]).detach()
        if divide == "masks":
            wanted = (y[:, None, None] * masks).sum(0) / masks.sum(0) - y.mean()
        else:
            wanted = (y[:, None, None] * masks).sum(0) / (21 * 0.5)
        torch.testing.assert_close(values(made)[b], wanted)
    assert made.forwards == 2 * (1 + 21)


def test_masks_are_shifted_smooth_and_half_seen() -> None:
    x = torch.zeros(1, 3, 40, 60, dtype=torch.float64)
    masks = drawn(x, 400, cells=5)
    assert masks.shape == (400, 40, 60)
    assert 0 <= float(masks.min()) < float(masks.max()) <= 1 + 1e-12
    assert abs(float(masks.mean()) - 0.5) < 0.02
    assert float(masks.diff(dim=2).abs().max()) < 0.2
    assert not torch.equal(masks, drawn(x, 400, cells=5, seed=1))


def test_more_masks_come_nearer_to_the_truth_and_dividing_by_masks_is_less_noisy() -> None:
    model, x = Linear((3, 12, 12)), draw(1, 3, 12, 12, seed=4)
    far = {
        (n, how): torch.stack(
            [values(explained(model, x, "rise", forwards=n, cells=3, divide=how, seed=s))[0] for s in range(12)]
        )
        .var(0)
        .mean()
        for n in (40, 160)
        for how in ("masks", "expectation")
    }
    assert far[160, "masks"] < 0.5 * far[40, "masks"]
    assert far[160, "masks"] < far[160, "expectation"]


@pytest.mark.parametrize("options", [{"forwards": 1}, {"cells": 0}, {"p": 1.0}, {"cells": 50}])
def test_options_without_a_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(LayoutError, match="are the authors'"):
        explained(Linear(), draw(1, 3, 5, 7), "rise", **options)
