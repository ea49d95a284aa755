"""OAT: objects have no order, the past does not see the future, places near are alike, a rule is learnt."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.gaze.scanpaths.oat import OAT, PlaceCode


def small(seed: int = 0) -> OAT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = OAT(features=4, width=16, heads=2, depth=1)
    model.near.data += 1.5
    return model.double().eval()


def drawn(b: int = 2, n: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    options = {"generator": g, "dtype": torch.float64}
    return torch.rand(b, n, 4, **options), torch.rand(b, n, 2, **options), torch.rand(b, 4, **options)


def test_permuting_objects_permutes_the_logits() -> None:
    model, (objects, places, target) = small(), drawn()
    path = torch.tensor([[3, 1], [0, 4]])
    order = torch.tensor([2, 4, 0, 1, 3])
    back = order.argsort()
    plain = model(objects, places, target, path)
    mixed = model(objects[:, order], places[:, order], target, back[path])
    assert torch.allclose(plain[:, :, order], mixed, atol=1e-12)


def test_the_past_does_not_see_the_future() -> None:
    model, (objects, places, target) = small(), drawn()
    one = model(objects, places, target, torch.tensor([[3, 1], [0, 4]]))
    other = model(objects, places, target, torch.tensor([[3, 2], [0, 1]]))
    assert torch.allclose(one[:, :2], other[:, :2], atol=1e-12)
    assert not torch.allclose(one[:, 2], other[:, 2])


def test_places_are_alike_as_they_are_near() -> None:
    reach, d = 0.3, torch.tensor([0.0, 0.1, 0.2, 0.4])
    code = PlaceCode(4096, reach=reach)(torch.stack([d, torch.zeros(4)], 1))
    assert torch.allclose(code @ code[0], torch.exp(-(d**2) / (2 * reach**2)), atol=0.06)


def test_likelihood_and_walk() -> None:
    model, (objects, places, target) = small(), drawn()
    path = torch.tensor([[3, 1, 0], [0, 4, 2]])
    told = model.log_likelihood(objects, places, target, path)
    by_hand = model(objects, places, target, path[:, :2]).log_softmax(-1)
    assert told[1, 2] == by_hand[1, 2, 2]
    walked = model.walk(objects, places, target, fixations=9)
    assert walked.sort(1).values.tolist() == [list(range(5))] * 2
    assert int(walked[0, 0]) == int(model(objects, places, target, path[:, :0])[0, 0].argmax())
    assert model.walk(objects, places, target, fixations=9, again=True).shape == (2, 9)


def test_gradients_reach_every_weight() -> None:
    model, (objects, places, target) = small(), drawn()
    model.log_likelihood(objects, places, target, torch.tensor([[3, 1], [0, 4]])).sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_refusals() -> None:
    model, (objects, places, target) = small(), drawn()
    with pytest.raises(LayoutError, match="objects"):
        model(objects, places[:, :3], target, torch.tensor([[3], [0]]))
