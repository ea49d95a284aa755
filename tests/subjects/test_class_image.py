from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regard.errors import DegenerateError, LayoutError
from regard.subjects.class_image import class_image

from ..explainers.models import Linear, Net, draw


def test_of_a_linear_model_it_is_the_weight_over_twice_the_decay() -> None:
    model, start = Linear((3, 5, 7)), draw(2, 3, 5, 7)
    got = class_image(model, start, 1, steps=200, rate=0.4, decay=0.5)
    torch.testing.assert_close(got.picture, (model.weight[1] / 1.0).expand(2, -1, -1, -1).detach())
    torch.testing.assert_close(got.scores[-1], model(got.picture)[:, 1].detach())
    assert got.target == "class 1"


def test_is_the_loop_written_out_and_rises() -> None:
    model, x = Net(bias=True), 0.1 * draw(2, 3, 9, 8)
    got = class_image(model, x, "2 vs 0", steps=7, rate=0.05, decay=0.1)
    one = x.clone()
    for _ in range(7):
        leaf = one.clone().requires_grad_()
        out = model(leaf)
        objective = (out[:, 2] - out[:, 0]).sum() - 0.1 * leaf.square().sum()
        one = one + 0.05 * torch.autograd.grad(objective, leaf)[0]
    torch.testing.assert_close(got.picture, one)
    assert got.scores.shape == (8, 2)
    assert bool((got.scores[-1] > got.scores[0]).all())
    alone = class_image(model, x[1:], "2 vs 0", steps=7, rate=0.05, decay=0.1)
    torch.testing.assert_close(alone.picture, got.picture[1:])


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).square().sum(1, keepdim=True).repeat(1, 2)


def test_refusals() -> None:
    for bad in ({"steps": 0}, {"rate": 0.0}, {"decay": -1.0}, {"rate": 2.0, "decay": 0.5}):
        with pytest.raises(LayoutError, match="steps at rate"):
            class_image(Linear(), draw(1, 3, 5, 7), 1, **bad)  # type: ignore[arg-type]
    with pytest.raises(DegenerateError, match=r"beyond all bounds|NaN or infinite"):
        class_image(Square(), draw(1, 1, 2, 2), 1, steps=800, rate=1.0, decay=0.0)
    with pytest.raises(DegenerateError, match="the gradient of class 1 is zero"):
        class_image(Square(), 0 * draw(1, 1, 2, 2), 1, steps=3)


def test_a_class_is_found_by_its_name() -> None:
    start = draw(1, 3, 5, 7)
    named = class_image(Linear(), start, "tench", steps=2, classes=("goldfish", "tench"))
    assert named.target == "tench"
    assert torch.equal(named.picture, class_image(Linear(), start, 1, steps=2).picture)
