from __future__ import annotations

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError, LayoutError
from regard.subjects.scan import SelectiveScan, hidden_attention
from regard.testing.planted import PlantedMamba, planted_pictures

from .models import explained, values

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


def matrices(model: PlantedMamba, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """|mean alpha| of each scan, and the gradient at its output."""
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    hooks = [s.register_forward_hook(lambda m, a, out: kept.append((a[0], out))) for s in model.scans]
    y = model(x)[:, 1].sum()
    slopes = torch.autograd.grad(y, [out for _, out in kept])
    for hook in hooks:
        hook.remove()
    alphas = []
    for scan, (given, _) in zip(model.scans, kept, strict=True):
        assert isinstance(scan, SelectiveScan)
        alphas.append(hidden_attention(scan.scanned(given)).mean(1).abs().detach())
    return alphas, list(slopes)


@pytest.mark.parametrize(("query", "start"), [(-1, 0), (40, 0), (-1, 1)])
def test_is_the_row_of_the_explicit_rollout(query: int, start: int) -> None:
    model = PlantedMamba(seed=3).double()
    product = torch.eye(64, dtype=torch.float64).expand(2, 64, 64)
    for alpha in matrices(model, X)[0][start:]:
        mixed = 0.4 * torch.eye(64, dtype=torch.float64) + 0.6 * alpha / alpha.sum(-1, keepdim=True)
        product = mixed @ product
    got = values(explained(model, X, "mamba_attention", query=query, residual=0.4, start=start))
    torch.testing.assert_close(got.flatten(1), product[:, query])
    assert float(got[0].flatten()[query % 64 + 1 :].abs().sum()) == 0.0, "causal"


def test_attribution_weighs_rows_by_the_positive_gradient() -> None:
    model = PlantedMamba(seed=3).double()
    product = torch.eye(64, dtype=torch.float64).expand(2, 64, 64)
    for alpha, slope in zip(*matrices(model, X), strict=True):
        product = product + slope.mean(-1).clamp_min(0)[..., None] * alpha @ product
    got = values(explained(model, X, "mamba_attention", gradient=True))
    torch.testing.assert_close(got.flatten(1), product[:, -1])


def test_refusals() -> None:
    vit = rg.model("random:test_vit")
    x = rg.image("sample:coffee", like=vit)
    with pytest.raises(CallError, match="runs no selective scan"):
        rg.explain(vit, x, method="mamba_attention", target=1)
    with pytest.raises(LayoutError, match="query 64 of 64 tokens"):
        explained(PlantedMamba().double(), X, "mamba_attention", query=64)

    class WithClass(PlantedMamba):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = nn.functional.pad(self.embed(x).flatten(2), (0, 3)).transpose(1, 2)
            return self.head(self.scans[0](tokens)[:, -1])

    with pytest.raises(LayoutError, match="67 tokens are no grid like a picture"):
        explained(WithClass().double(), X, "mamba_attention")
