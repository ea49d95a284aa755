from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import CallError, DegenerateError
from regard.mechanisms import ALL
from regard.subjects.forward import Subject
from regard.subjects.scorer import Scorer
from regard.subjects.tap import Place
from regard.testing.planted import PlantedCNN, PlantedViT, planted_pictures

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


def scorer(model: nn.Module, target: Any = 1) -> Scorer:
    return Scorer(Subject(model.double(), X, ALL), target)


def test_scores_are_the_targets_logits_in_batches_of_any_multiple() -> None:
    model = PlantedCNN().double()
    score = scorer(model, None)
    first = model(X).argmax(1)
    many = torch.cat([X * k for k in (1, 2, 3, 4, 5, 6, 7)])
    wanted = model(many)[torch.arange(14), first.repeat(7)].detach()
    torch.testing.assert_close(score(many), wanted)
    torch.testing.assert_close(score.value, wanted[:2])
    assert score.count == 16
    assert not score(many).requires_grad


def test_gradients_are_those_of_each_picture_and_leave_no_trace() -> None:
    model = PlantedViT().double()
    model.head.bias.requires_grad_(False)
    before = [p.requires_grad for p in model.parameters()]
    score = scorer(model)
    points = [X * k for k in (0.5, 1.0, 2.0, -1.0, 3.0)]
    for point, got in zip(points, score.gradients(points, 5), strict=True):
        leaf = point.clone().requires_grad_()
        (wanted,) = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)
        torch.testing.assert_close(got, wanted)
    assert [p.requires_grad for p in model.parameters()] == before
    assert all(p.grad is None for p in model.parameters())
    assert score.count == 12


def test_a_gradient_at_the_pictures_finds_its_target_in_the_same_forward() -> None:
    score = scorer(PlantedCNN(), None)
    assert not score.aimed
    score.gradient()
    assert score.aimed
    assert score.count == 2


def test_parameters_are_released_after_an_error() -> None:
    class Breaks(PlantedCNN):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ZeroDivisionError

    model = Breaks().double()
    with pytest.raises(ZeroDivisionError):
        scorer(model).gradient()
    assert all(p.requires_grad for p in model.parameters())


def test_other_activations_at_a_layer() -> None:
    """Of a network and of a ViT, whose prefix stays as it runs; the layer's own values give the plain score."""
    cnn = scorer(PlantedCNN())
    (layer,) = cnn.layers([Place("features", at_input=False)])
    torch.testing.assert_close(cnn.with_layer(layer, layer.values), cnn.value)
    weights = cnn.on.model.head.weight[1].detach()
    wanted = (2 * layer.values).relu().mean((2, 3)) @ weights + cnn.on.model.head.bias[1].detach()
    torch.testing.assert_close(cnn.with_layer(layer, 2 * layer.values), wanted)

    vit = scorer(PlantedViT())
    (tokens,) = vit.layers([Place("blocks.0", at_input=False, grid=rg.Grid(8, 8, prefix=1))])
    torch.testing.assert_close(vit.with_layer(tokens, tokens.values), vit.value)
    zeros = vit.with_layer(tokens, torch.zeros_like(tokens.values).repeat(5, 1, 1, 1))
    assert zeros.shape == (10,)
    assert (zeros[:2] - vit.value).abs().min() > 0.1


def test_skipped_blocks_hand_on_what_they_are_given() -> None:
    """The gate of a head of block 0, with block 1 skipped: against a model that has no block 1."""
    model, short = PlantedViT().double(), PlantedViT().double()
    del short.blocks[1]
    got = scorer(model).watch(["gate_gradient"], "blocks.0.attn", skip=["blocks.1"])
    wanted = scorer(short).watch(["gate_gradient"])
    torch.testing.assert_close(got["blocks.0.attn"]["gate_gradient"], wanted["blocks.0.attn"]["gate_gradient"])
    full = scorer(model).watch(["gate_gradient"], "blocks.0.attn")["blocks.0.attn"]["gate_gradient"]
    assert (full - wanted["blocks.0.attn"]["gate_gradient"]).abs().max() > 1e-3
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_record_of_gradients_is_that_of_the_score() -> None:
    model = PlantedViT().double()
    got = scorer(model).watch(["gate_gradient"])
    with rg.watch(model, keep="gate_gradient") as wanted:
        wanted.backward(model(X)[:, 1])
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one["gate_gradient"], other["gate_gradient"])


def test_the_grid_is_that_of_the_tokens() -> None:
    assert scorer(PlantedViT()).grid == rg.Grid(8, 8, prefix=1)
    assert scorer(PlantedCNN()).grid is None


class Odd(PlantedCNN):
    """A score that a gradient cannot explain."""

    how = ""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "rounded":
            return super().forward(x).round()
        return super().forward(x.detach()) if self.how == "detached" else super().forward(x) / 0 * 0


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ("rounded", DegenerateError, "zero at every pixel: no module's output moves it"),
        ("detached", CallError, "its graph ends inside of the model .before its first module"),
        ("nan", DegenerateError, "score of class 1 is NaN or infinite for 2 of 2 pictures"),
    ],
)
def test_refusals(how: str, error: type[Exception], told: str) -> None:
    model = Odd()
    model.how = how
    with pytest.raises(error, match=told):
        scorer(model).gradient()


class Viewed(nn.Module):
    """As many tutorials have it: `view`, which a picture with its channels last does not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.linspace(-1, 1, 4 * 27).sin().view(4, 3, 3, 3))
        self.weight = nn.Parameter(torch.linspace(-1, 1, 4 * 14 * 14 * 2).view(2, -1))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.conv2d(x, self.kernel)
        return x.view(len(x), -1) @ self.weight.T


def test_a_model_that_views_its_pictures_is_run_all_the_same() -> None:
    model = Viewed()
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with pytest.raises(RuntimeError, match="view size"):
        model(x.contiguous(memory_format=torch.channels_last))
    score = Scorer(Subject(model, x, ALL), 1)
    torch.testing.assert_close(score(x), model(x)[:, 1].detach())
    assert score.count == 4
    assert score.gradient().shape == x.shape
    made = rg.explain(model, x, method=partial(rg.explainers.occlusion, cells=2), target=1)
    without = x.clone()
    without[:, :, :8, :8] = score.baseline("blur")[:, :, :8, :8]
    wanted = (model(x) - model(without))[:, 1].detach().double()
    torch.testing.assert_close(torch.from_numpy(made.values)[:, 0, 0], wanted, rtol=1e-4, atol=1e-5)
