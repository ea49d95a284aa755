from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import CallError
from regard.explainers._relevance import Rule, relevance
from regard.mechanisms import ALL
from regard.subjects.forward import UNSEEN, Subject
from regard.subjects.scorer import Scorer

from .models import draw


class Chain(nn.Module):
    """Convolution, normalisation, ReLU, a convolution with a way around it, mean, linear; biases everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.k1, self.b1 = draw(4, 2, 3, 3, seed=1), draw(4, seed=2)
        self.mean, self.var = draw(4, seed=3), draw(4, seed=4).square() + 0.5
        self.scale, self.shift = draw(4, seed=5), draw(4, seed=6)
        self.k2, self.b2 = draw(4, 4, 3, 3, seed=7), draw(4, seed=8)
        self.w, self.b = draw(3, 4, seed=9), draw(3, seed=10)

    def normalised(self, z: Tensor) -> Tensor:
        return F.batch_norm(z, self.mean, self.var, self.scale, self.shift)

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(self.normalised(F.conv2d(x, self.k1, self.b1)), inplace=True)
        around = F.conv2d(z, self.k2, bias=self.b2, padding=1)
        around += z  # as residual networks do
        return F.linear(around.mean((2, 3)), self.w, self.b)


def shared(run: Any, x: Tensor, back: Tensor, rule: Rule, epsilon: float) -> Tensor:
    """R_i of one layer for one picture, every w_ji x_i written out; `run` is affine."""
    bias = run(torch.zeros_like(x)).flatten()
    w = torch.autograd.functional.jacobian(run, x).reshape(bias.numel(), x.numel())
    parts = w * x.flatten()
    if rule == "zplus":
        parts = parts.clamp_min(0)
        z = parts.sum(1) + epsilon
        share = torch.where(parts.sum(1) > 0, back.flatten() / z, 0.0)
    else:
        z = parts.sum(1) + bias
        share = back.flatten() / (z + epsilon * z.sign())
    return (parts * share[:, None]).sum(0).view_as(x)


@pytest.mark.parametrize("rule", ["zplus", "epsilon"])
def test_is_relevance_handed_back_layer_by_layer(rule: Rule) -> None:
    net, x, epsilon = Chain(), draw(1, 2, 6, 5), 0.01
    first = net.normalised(F.conv2d(x, net.k1, net.b1))
    z = first.relu()
    around = F.conv2d(z, net.k2, net.b2, padding=1)
    pooled = (z + around).mean((2, 3))
    back = torch.zeros(1, 3).double()
    back[0, 1] = net(x)[0, 1]
    back = shared(lambda v: F.linear(v, net.w, net.b), pooled, back, "epsilon", epsilon)
    back = shared(lambda v: v.mean((2, 3)), z + around, back, "epsilon", 0.0)
    of_z, of_around = back * z / (z + around), back * around / (z + around)
    of_z = of_z + shared(lambda v: F.conv2d(v, net.k2, net.b2, padding=1), z, of_around, rule, epsilon)
    wanted = shared(lambda v: net.normalised(F.conv2d(v, net.k1, net.b1)), x, of_z, rule, epsilon)
    got = relevance(Scorer(Subject(net, x, ALL), 1), x, rule, epsilon)
    torch.testing.assert_close(got, wanted)


class WithTorchs(nn.Module):
    """nn.MultiheadAttention, whose layers a mode does not see by itself, with a way around it; no biases."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.attn, self.head = nn.MultiheadAttention(6, 2, bias=False), nn.Linear(6, 3, bias=False)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).permute(2, 0, 1)
        return self.head((tokens + self.attn(tokens, tokens, tokens)[0]).mean(0))


def test_torchs_own_attention_conserves_relevance_too() -> None:
    net, x = WithTorchs(), draw(2, 6, 3, 4)
    score = Scorer(Subject(net, x, ALL), 1)
    torch.testing.assert_close(relevance(score, x, "zplus", 0.0).sum((1, 2, 3)), score.value)
    hidden = Scorer(Subject(net, x, UNSEEN), 1)  # the planted fault: as it was before they were opened
    assert not torch.allclose(relevance(hidden, x, "zplus", 0.0).sum((1, 2, 3)), score.value, rtol=1e-3)


def test_refusals() -> None:
    net, x = Chain(), draw(1, 2, 6, 5)
    score = Scorer(Subject(net, x, ALL), 1)
    for epsilon in (-1.0, float("nan")):
        with pytest.raises(CallError, match="with epsilon"):
            relevance(score, x, "zplus", epsilon)
    grouped = nn.Sequential(nn.GroupNorm(2, 2), nn.Flatten()).double()
    with pytest.raises(CallError, match="no rule for group_norm") as caught:
        relevance(Scorer(Subject(grouped, x, ALL), 1), x, "zplus", 0.0)
    assert "input_x_gradient" in caught.value.hint
    training = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten()).double()
    with pytest.raises(CallError, match="statistics of a batch"):
        relevance(Scorer(Subject(training, x, ALL), 1), x, "zplus", 0.0)
