from __future__ import annotations

import pytest
import torch
from torch import nn

from regard.explainers._biases import biases
from regard.mechanisms import ALL
from regard.subjects.forward import Subject
from regard.subjects.scorer import Scorer

from .models import Net, draw, slope


def test_batch_normalisation_has_the_bias_of_its_formula() -> None:
    model, x = Net(bias=True, norm=True), draw(2, 3, 9, 7)
    found = biases(Scorer(Subject(model, x, ALL), 1), x)
    torch.testing.assert_close(found.gradient, slope(model, x))
    norm = model.norm
    assert isinstance(norm, nn.BatchNorm2d)
    bias = norm.bias - norm.weight * norm.running_mean / (norm.running_var + norm.eps).sqrt()
    kept: list[torch.Tensor] = []
    hook = norm.register_forward_hook(lambda _, __, out: kept.append(out))
    (gradient,) = torch.autograd.grad(model(x)[:, 1].sum(), kept)
    hook.remove()
    wanted = gradient * bias.view(1, -1, 1, 1)
    assert any(p.shape == wanted.shape and torch.allclose(p, wanted) for p in found.units)


@pytest.mark.parametrize("act", [nn.ReLU6, nn.GELU, nn.Sigmoid, nn.Softplus])
def test_implied_biases_complete_the_score(act: type[nn.Module]) -> None:
    model, x = Net(bias=True, norm=True, act=act), 3 * draw(2, 3, 9, 7)
    found = biases(Scorer(Subject(model, x, ALL), 1), x)
    whole = (x * found.gradient).flatten(1).sum(1) + sum(p.flatten(1).sum(1) for p in found.units)
    torch.testing.assert_close(whole, model(x)[:, 1].detach())
    if act is nn.ReLU6:
        assert any(p.abs().max() > 0 for p in found.units)


def test_parameters_of_no_module_are_added() -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.places = Net(bias=True), nn.Parameter(draw(1, 3, 9, 7, seed=5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x + self.places)

    model, x = Placed(), draw(2, 3, 9, 7)
    found = biases(Scorer(Subject(model, x, ALL), 1), x)
    assert found.others is not None
    torch.testing.assert_close(found.others, (found.gradient * model.places).flatten(1).sum(1).detach())
    assert model.places.requires_grad
    model.requires_grad_(False)
    biases(Scorer(Subject(model, x, ALL), 1), x)
    assert not any(p.requires_grad for p in model.parameters())
