"""glimpse-prediction works: scenes whose kinds rule what lies where."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.gaze.scanpaths.glimpses import GlimpsePredictor, contrastive
from regard.testing.marks import works

from .toys import seeded, train

KINDS, PLACES, STEPS, FEATURES = 4, 9, 6, 12


def viewings(n: int, g: torch.Generator, codes: Tensor, layouts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Glimpses [n, t, f], saccades, kinds of the scenes, glimpses' true codes: each kind lays objects on 3 x 3 places
    by its own rule, 10 % of them replaced by chance; viewing begins in the middle."""
    kind = torch.randint(KINDS, (n,), generator=g)
    objects = layouts[kind]
    chance = torch.randint(len(codes), objects.shape, generator=g)
    objects = torch.where(torch.rand(objects.shape, generator=g) < 0.1, chance, objects)
    drawn = torch.rand(n, PLACES, generator=g)
    drawn[:, PLACES // 2] = -1  # viewing begins in the middle
    at = drawn.argsort(1)[:, : STEPS + 1]
    seen = codes[objects.gather(1, at)]
    places = torch.stack([at % 3, at // 3], -1).float()
    return seen + 0.3 * torch.randn(seen.shape, generator=g), places.diff(dim=1) / 2, kind, seen


def fitted(codes: Tensor, layouts: Tensor, **how: bool) -> GlimpsePredictor:
    g = torch.Generator().manual_seed(1)
    with seeded(0):
        model = GlimpsePredictor(FEATURES, width=64, **how)

    def loss() -> Tensor:
        seen, saccades, _, _ = viewings(64, g, codes, layouts)
        predicted, _ = model(seen[:, :-1], saccades)
        return contrastive(predicted, seen[:, 1:]) + (1 - F.cosine_similarity(predicted, seen[:, 1:], dim=-1)).mean()

    train(model, loss, steps=500, rate=1e-2)
    return model


def decoded(states: Tensor, kind: Tensor, fresh: Tensor, truth: Tensor) -> float:
    """Share of scene kinds that ridge regression on states tells on fresh ones."""
    x, y = (torch.cat([s, torch.ones(len(s), 1)], 1) for s in (states, fresh))
    weights = torch.linalg.solve(x.T @ x + 1e-2 * torch.eye(x.shape[1]), x.T @ F.one_hot(kind, KINDS).float())
    return float(((y @ weights).argmax(1) == truth).float().mean())


@works("glimpse-prediction")
def test_rules_of_scenes_are_learnt_from_glimpses() -> None:
    """Cosine with the true next glimpse: above the most likely mean glimpse of all, above a model without saccades and
    one without recurrence; the state tells the scene's kind more often than the glimpse does."""
    g = torch.Generator().manual_seed(0)
    codes = F.normalize(torch.randn(8, FEATURES, generator=g), dim=1)
    layouts = torch.randint(8, (KINDS, PLACES), generator=g)
    whole, blind, alone = (fitted(codes, layouts, **how) for how in ({}, {"saccade": False}, {"recurrent": False}))
    seen, saccades, kind, truth = viewings(600, torch.Generator().manual_seed(9), codes, layouts)
    fresh, jumps, other, _ = viewings(600, torch.Generator().manual_seed(10), codes, layouts)

    def score(predicted: Tensor) -> float:
        return float(F.cosine_similarity(predicted[:, 2:], truth[:, 3:], dim=-1).mean())

    with torch.no_grad():
        made, states = whole(seen[:, :-1], saccades)
        found = {"whole": score(made), "no saccade": score(blind(seen[:, :-1], saccades)[0])}
        found["no recurrence"] = score(alone(seen[:, :-1], saccades)[0])
        found["frequency"] = score(seen.mean((0, 1)).expand_as(made))
        told = decoded(states[:, -1], kind, whole(fresh[:, :-1], jumps)[1][:, -1], other)
        glimpse = decoded(seen[:, -2], kind, fresh[:, -2], other)
    assert found["whole"] > max(v for k, v in found.items() if k != "whole") + 0.1
    assert told > glimpse + 0.2
