"""prompt-cam works: on frozen DINOv2 the true class's prompt looks at the one part in which classes differ."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.subjects.prompted import Prompted
from regard.testing.marks import works

SIDE, PART, PATCH = 84, 28, 14
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def parts() -> Tensor:
    """A part of each class: bars down, bars across, a chequerboard, a ring, `[4, PART, PART]`."""
    y, x = torch.meshgrid(torch.arange(PART), torch.arange(PART), indexing="ij")
    ring = ((y - 13.5).square() + (x - 13.5).square()).sqrt()
    return torch.stack([x // 4 % 2, y // 4 % 2, (x // 7 + y // 7) % 2, ((ring > 7) & (ring < 12)).long()]).float()


def pictures(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Grey bodies of all sizes on coloured clouds, a part on each; labels and the boxes of the parts on the patches."""
    generator = torch.Generator().manual_seed(seed)
    clouds = torch.rand(n, 3, 7, 7, generator=generator)
    x = F.interpolate(clouds, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1)
    labels = torch.arange(n) % 4
    boxes = torch.zeros(n, SIDE // PATCH, SIDE // PATCH, dtype=torch.bool)
    y, across = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    for i, label in enumerate(labels.tolist()):
        row, column = (int(v) for v in torch.randint(1, SIDE // PATCH - 2, (2,), generator=generator))
        middle = torch.tensor([row, column]) * PATCH + PART / 2
        size = 30 + 20 * torch.rand(2, generator=generator)
        body = ((y - middle[0]) / size[0]) ** 2 + ((across - middle[1]) / size[1]) ** 2 < 1
        x[i, :, body] = 0.55
        top, left = row * PATCH, column * PATCH
        x[i, :, top : top + PART, left : left + PART] = 0.15 + 0.7 * parts()[label]
        boxes[i, row : row + 2, column : column + 2] = True
    return (x - MEAN[:, None, None]) / STD[:, None, None], labels, boxes


@works("prompt-cam")
@pytest.mark.weights
@pytest.mark.parametrize("seed", [0, 1])
def test_the_true_classs_prompt_looks_at_the_part(dinov2: nn.Module, seed: int) -> None:
    """Accuracy on new pictures; attention in the box against its share of the picture, and the other prompts'.

    Measured with seeds 0 and 1: .97 and 1.00 right; .21 and .15 of the attention, .11 and .12 of the other prompts',
    on .11 of the picture.
    """
    before = [p.clone() for p in dinov2.parameters()]
    model = Prompted(dinov2, 4, at="blocks.11", seed=seed)
    x, labels, _ = pictures(96, seed)
    model.learn(x, labels, steps=100, seed=seed)
    fresh, truth, boxes = pictures(32, 100 + seed)
    with torch.no_grad():
        right = float((model(fresh).argmax(1) == truth).double().mean())

    def inside(shift: int) -> Tensor:
        """Share of the patch attention that lies in the box, of the prompt so many classes on."""
        held = []
        for c in range(4):
            some = truth == c
            heat = torch.from_numpy(rg.explain(model, fresh[some], method="prompt_cam", target=(c + shift) % 4).values)
            held.append((heat * boxes[some]).sum((1, 2)) / heat.sum((1, 2)))
        return torch.cat(held)

    own = inside(0)
    others = torch.stack([inside(1), inside(2), inside(3)]).mean(0)
    assert right > 0.9
    assert own.mean() > 1.2 * boxes.double().mean()
    assert own.mean() > 1.1 * others.mean()
    assert all(torch.equal(a, b) for a, b in zip(before, dinov2.parameters(), strict=True))
