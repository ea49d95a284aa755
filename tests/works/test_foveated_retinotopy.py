"""foveated-retinotopy works: log-polar maps turn rotation and zoom into shifts, and a network profits."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.gaze.foveation import log_polar
from regard.testing.marks import works

from .toys import seeded, train

SIDE, RINGS, WEDGES = 32, 12, 32
CLASSES = (0, 1, 2, 3, 4, 5, 7, 8)  # a 6 turned by half is a 9


def seen(x: Tensor, at: Tensor) -> Tensor:
    return log_polar(x, at, rings=RINGS, wedges=WEDGES, inner=1.0, outer=14.0)


@functools.cache
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Digits of 24 pixels in the middle of 32: 900 to learn from, the others to test on."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    keep = torch.tensor([t in CLASSES for t in data.target.tolist()])
    x = torch.tensor(data.images / 16, dtype=torch.float32)[keep][:, None]
    y = torch.tensor([CLASSES.index(t) for t in data.target.tolist() if t in CLASSES])
    x = F.pad(F.interpolate(x, size=(24, 24), mode="bilinear", align_corners=False), (4, 4, 4, 4))
    return x[:900], y[:900], x[900:], y[900:]


class Net(nn.Module):
    """Three convolutions; the log-polar one closes its wedges to a ring and takes the mean over them, nothing else."""

    def __init__(self, retina: bool, classes: int, seed: int) -> None:
        super().__init__()
        self.retina = retina
        with seeded(seed):
            self.convs = nn.ModuleList(nn.Conv2d(a, b, 3) for a, b in ((1, 24), (24, 48), (48, 48)))
            self.head = nn.Linear(48 * (3 if retina else 16), classes)

    def forward(self, x: Tensor) -> Tensor:
        for i, conv in enumerate(self.convs):
            wide = F.pad(x, (1, 1, 0, 0), mode="circular") if self.retina else F.pad(x, (1, 1, 0, 0))
            x = conv(F.pad(wide, (0, 0, 1, 1))).relu()
            x = F.max_pool2d(x, 2) if i < 2 or not self.retina else x
        return self.head((x.mean(-1) if self.retina else x).flatten(1))


def fitted(retina: bool, x: Tensor, y: Tensor, classes: int, seed: int) -> Net:
    net, g = Net(retina, classes, seed), torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        at = torch.randint(len(x), (64,), generator=g)
        return F.cross_entropy(net(x[at]), y[at])

    train(net, loss, steps=350 if retina else 120, rate=6e-3 if retina else 3e-3)
    return net


@works("foveated-retinotopy")
def test_rotation_and_zoom_about_the_fixation_are_shifts() -> None:
    x = digits()[0][:8].double()
    x = F.interpolate(x, size=(128, 128), mode="bicubic", align_corners=False)
    at, q = (64.0, 64.0), (60 / 2) ** (1 / 24)
    flat = log_polar(x, at, rings=24, wedges=32, inner=2.0, outer=60.0, smooth=False)
    for k in (1, 2, 3):
        turned = log_polar(x.rot90(-k, (2, 3)), at, rings=24, wedges=32, inner=2.0, outer=60.0, smooth=False)
        assert (turned - flat.roll(8 * k, -1)).abs().max() < 1e-9
    zoomed = log_polar(x, at, rings=24, wedges=32, inner=2.0 * q**4, outer=60.0 * q**4, smooth=False)
    assert (zoomed[:, :, :-4] - flat[:, :, 4:]).abs().max() < 1e-9


@works("foveated-retinotopy")
@pytest.mark.parametrize("seed", range(2))
def test_accuracy_stays_under_rotation(seed: int) -> None:
    """Both learn upright digits; turned by 30 to 180 degrees the log-polar one loses less than half as much."""
    x, y, test_x, test_y = digits()
    at = torch.tensor([16.0, 16.0])
    retina = fitted(True, seen(x, at), y, len(CLASSES), seed)
    plain = fitted(False, x, y, len(CLASSES), seed)
    right: dict[int, tuple[float, float]] = {}
    for degrees in (0, 30, 60, 90, 135, 180):
        a = math.radians(degrees)
        turn = torch.tensor([[math.cos(a), math.sin(a), 0.0], [-math.sin(a), math.cos(a), 0.0]])
        grid = F.affine_grid(turn.expand(len(test_x), -1, -1), list(test_x.shape), align_corners=False)
        turned = F.grid_sample(test_x, grid, align_corners=False)
        with torch.no_grad():
            answers = retina(seen(turned, at)).argmax(1), plain(turned).argmax(1)
        right[degrees] = tuple(float((one == test_y).float().mean()) for one in answers)
    upright, others = right.pop(0), list(right.values())
    assert min(upright) > 0.8, upright
    lost = [upright[i] - sum(one[i] for one in others) / len(others) for i in range(2)]
    assert lost[0] < 0.5 * lost[1], (upright, right)


@works("foveated-retinotopy")
def test_the_probability_over_fixations_peaks_on_the_object() -> None:
    """A digit anywhere in 96 x 96 pixels of clutter: the highest probability of its class over a grid of fixations
    lies on it in at least 80 % of 40 pictures (its box covers 6 %); the net also learned what no digit looks like."""
    x, y, test_x, test_y = digits()
    g = torch.Generator().manual_seed(0)

    def clutter(n: int, side: int) -> Tensor:
        return F.interpolate(torch.rand(n, 1, side // 4, side // 4, generator=g), size=(side, side)) * 0.35

    middle = torch.tensor([16.0, 16.0])
    shifted = torch.stack([one.roll((int(a), int(b)), (1, 2)) for one, (a, b) in zip(
        x, torch.randint(8, 17, (len(x), 2), generator=g) * (1 - 2 * torch.randint(2, (len(x), 2), generator=g)),
        strict=True)])  # fmt: skip
    shown = torch.cat([x, shifted, torch.zeros_like(x[:300])])
    shown = torch.maximum(shown, clutter(len(shown), SIDE))
    labels = torch.cat([y, torch.full((len(x) + 300,), len(CLASSES))])
    net = fitted(True, seen(shown, middle), labels, len(CLASSES) + 1, 0)
    hits = 0
    for i in range(40):
        left, top = torch.randint(0, 96 - 24, (2,), generator=g).tolist()
        scene = clutter(1, 96)
        part = scene[..., top : top + 24, left : left + 24]
        part.copy_(torch.maximum(part, test_x[i : i + 1, :, 4:28, 4:28]))
        centres = torch.cartesian_prod(torch.arange(8.0, 90, 4), torch.arange(8.0, 90, 4))
        with torch.no_grad():
            p = net(seen(scene.expand(len(centres), -1, -1, -1), centres)).softmax(1)[:, test_y[i]]
        px, py = centres[p.argmax()].tolist()
        hits += left <= px < left + 24 and top <= py < top + 24
    assert hits >= 32, hits
