"""infidelity-sensitivity works: closed forms, Captum's numbers on the same inputs, smoothing that steadies a map."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

import regard as rg
from regard.testing.marks import works
from regard.testing.planted import PlantedViT, planted_pictures

from .test_saco import GRID, Cells, as_map


@works("infidelity-sensitivity")
@pytest.mark.peers
def test_closed_forms_captum_and_smoothing() -> None:
    """Linear f: infidelity 0 for its contributions, sensitivity 0 for its constant gradient; both agree with
    captum.metrics to 1e-6 on the same masks and moves; no random map beats the closed form; SmoothGrad moves less."""
    metrics = pytest.importorskip("captum.metrics")
    g = torch.Generator().manual_seed(0)
    linear = Cells(torch.randn(GRID.patches, generator=g, dtype=torch.float64))
    x = torch.rand(1, 3, 24, 40, generator=g, dtype=torch.float64)
    cells = torch.nn.functional.adaptive_avg_pool2d(x[:, :1], (GRID.h, GRID.w)).flatten()
    true = linear.weights * (cells - x[:, :1].mean())
    bank = rg.masks(linear, x, as_map(true), baseline="mean")
    score = partial(rg.score, model=linear, x=x, bank=bank)
    assert score(as_map(true), metric=partial(rg.metrics.infidelity, scaling="none")).value < 1e-20
    heat = rg.explain(linear, x, method="gradient", target=1)
    assert rg.score(heat, linear, x, metric="max_sensitivity", orders=2).value < 1e-12

    best = score(as_map(bank.optimal().flatten()), metric="infidelity").value
    others = [as_map(torch.randn(GRID.patches, generator=g, dtype=torch.float64)) for _ in range(20)]
    values = [score(m, metric=partial(rg.metrics.infidelity, scaling="optimal")).value for m in others]
    assert best < min(values)

    rows = iter(bank.keep)
    empty = x.mean((2, 3), keepdim=True).expand_as(x)

    def perturb(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        made = []
        for one in inputs:
            keep = next(rows).view(1, GRID.h, GRID.w).repeat_interleave(4, 1).repeat_interleave(4, 2)
            made.append(torch.where(keep, one, empty[0]))
        gone = torch.stack([(m != i).double() for m, i in zip(made, inputs, strict=True)])
        return gone, torch.stack(made)

    phi = others[0].values[0]
    spread = torch.from_numpy(phi).repeat_interleave(4, 0).repeat_interleave(4, 1)[None, None] / (16 * 3)
    state = torch.get_rng_state()
    peer = metrics.infidelity(
        linear, perturb, x, spread.expand_as(x), target=1, n_perturb_samples=len(bank.keep), max_examples_per_batch=1,
        normalize=True,
    )  # fmt: skip
    own = score(others[0], metric=partial(rg.metrics.infidelity, scaling="optimal")).value
    assert own == pytest.approx(float(peer[0]), rel=1e-6)

    model, red = PlantedViT(), planted_pictures([(2, 5)])
    heat = rg.explain(model, red, method="gradient", target=1)
    got = rg.score(heat, model, red, metric="max_sensitivity", orders=2)
    draws = torch.Generator().manual_seed(0)
    reach = 0.02 * float(red.max() - red.min())
    moves = iter((torch.rand((10, *red.shape), generator=draws, dtype=torch.float64) * 2 - 1).float() * reach)

    def explain(inputs: tuple[torch.Tensor, ...] | torch.Tensor) -> torch.Tensor:
        one = inputs[0] if isinstance(inputs, tuple) else inputs
        made = [rg.explain(model, p[None], method="gradient", target=1).values for p in one]
        return torch.from_numpy(np.stack(made))

    def move(inputs: tuple[torch.Tensor, ...] | torch.Tensor) -> torch.Tensor:
        one = inputs[0] if isinstance(inputs, tuple) else inputs
        return torch.cat([p[None] + next(moves) for p in one])

    peer = metrics.sensitivity_max(explain, red, perturb_func=move, n_perturb_samples=10, max_examples_per_batch=1)
    torch.set_rng_state(state)
    assert got.value == pytest.approx(float(peer[0]), rel=1e-4)

    smooth = rg.explain(model, red, method="smoothgrad", target=1)
    assert rg.score(smooth, model, red, metric="max_sensitivity", orders=2).value < got.value
