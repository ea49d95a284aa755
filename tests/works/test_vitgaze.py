"""vitgaze works: what frozen DINOv2 attends to from a head, decoded, beside the centre and the head's place."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.gaze.following.vitgaze import ViTGaze, interactions
from regard.layout import Grid
from regard.testing.marks import works

from .toys import seeded, train

SIDE, CELLS = 126, 9


def scenes(n: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A round head with a long nose on noise, a ball where the nose points, and the middles [n, 2] of both (x, y)."""
    x = 0.5 + 0.05 * torch.randn(n, 3, SIDE, SIDE, generator=g)
    rows, columns = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    heads, balls = torch.empty(n, 2), torch.empty(n, 2)
    for i in range(n):
        while True:
            head = 18 + 90 * torch.rand(2, generator=g)
            angle = float(2 * math.pi * torch.rand(1, generator=g))
            towards = torch.tensor([math.cos(angle), math.sin(angle)])
            ball = head + (45 + 30 * torch.rand(1, generator=g)) * towards
            if bool(((ball > 12) & (ball < SIDE - 12)).all()):
                break
        along = (columns - head[0]) * towards[0] + (rows - head[1]) * towards[1]
        across = -(columns - head[0]) * towards[1] + (rows - head[1]) * towards[0]
        x[i, :, along.square() + across.square() < 13**2] = torch.tensor([0.85, 0.65, 0.5])[:, None]
        x[i, :, (along > 0) & (along < 22) & (across.abs() < 4)] = torch.tensor([0.5, 0.2, 0.1])[:, None]
        colour = 0.2 + 0.6 * torch.rand(3, generator=g)
        x[i, :, (columns - ball[0]) ** 2 + (rows - ball[1]) ** 2 < 9**2] = colour[:, None]
        heads[i], balls[i] = head, ball
    return x.clamp(0, 1), heads, balls


def auc(values: Tensor, at: Tensor) -> float:
    """Mean share of cells below the one that is looked at."""
    own = values.gather(1, at[:, None])
    return float(((values < own).float() + 0.5 * (values == own).float()).mean(1).mean())


@works("vitgaze")
@pytest.mark.weights
def test_the_gaze_beside_the_centre_and_the_heads_place(dinov2: nn.Module) -> None:
    """48 scenes to train the decoder on frozen attention, 24 fresh ones to judge it: AUC higher and the peak nearer
    than a centre map and a map that falls with the distance to the head.

    Over three seeds of scenes and weights AUC .96, .85, .91 (centre .74, .66, .64), mean distance of the peak .06, .14
    and .07 of the side (centre .27, .32, .32); one seed is run, for time.
    """
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x, heads, balls = scenes(72, torch.Generator().manual_seed(0))
    maps = []
    for one, head in zip(((x - mean) / std).split(8), heads.split(8), strict=True):
        with rg.watch(dinov2, "blocks.{2,5,8,11}.attn", keep=["probs"]) as record, torch.no_grad():
            dinov2(one)
        box = (middles() - head[:, None] / SIDE).norm(dim=-1).view(-1, CELLS, CELLS) < 0.13
        maps.append(interactions([r.values["probs"] for r in record], box.float(), Grid(CELLS, CELLS, prefix=1)))
    features = torch.cat(maps)
    with seeded(0):
        model = ViTGaze(maps=24, features=4)
    fine = 4 * CELLS
    goal = (balls / SIDE * fine).long()
    goal = goal[:, 1] * fine + goal[:, 0]
    g = torch.Generator().manual_seed(1)

    def loss() -> Tensor:
        at = torch.randperm(48, generator=g)[:16]
        return F.cross_entropy(model(features[at], torch.zeros(16, 4))[0].flatten(1), goal[at], label_smoothing=0.1)

    train(model, loss, steps=200, rate=1e-2)
    with torch.no_grad():
        ours = F.avg_pool2d(model(features, torch.zeros(72, 4))[0].flatten(1).softmax(1).view(-1, 1, fine, fine), 4)
    cells = (balls / SIDE * CELLS).long()
    cells = cells[:, 1] * CELLS + cells[:, 0]
    guesses = {
        "ours": ours.flatten(1),
        "centre": -(middles() - 0.5).norm(dim=-1).expand(72, -1),
        "head": -(middles() - heads[:, None] / SIDE).norm(dim=-1),
    }
    told = {}
    for name, guess in guesses.items():
        peak = middles()[0][guess[48:].argmax(1)]
        told[name] = auc(guess[48:], cells[48:]), float((peak - balls[48:] / SIDE).norm(dim=1).mean())
    assert told["ours"][0] > max(told["centre"][0], told["head"][0]) + 0.1
    assert told["ours"][1] < 0.6 * min(told["centre"][1], told["head"][1])


def middles() -> Tensor:
    """Middles of cells, [1, 81, 2], x and y in 0..1."""
    y, x = torch.meshgrid(*(2 * [(torch.arange(CELLS) + 0.5) / CELLS]), indexing="ij")
    return torch.stack([x, y], -1).flatten(0, 1)[None]
