"""Search: maps by hand, pooling by hand, targets found before chance, no place twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regard.errors import DegenerateError, LayoutError
from regard.gaze.scanpaths.search import Eccentricity, eccentric_pool, search, target_map

SIDE = 30


def letters(seed: int) -> tuple[Tensor, Tensor, tuple[float, float, float, float]]:
    """A random coloured texture among 15 others on a 4 x 4 array; the target; its box."""
    g = torch.Generator().manual_seed(seed)
    patches = torch.rand(16, 3, 14, 14, generator=g, dtype=torch.float64)
    at = int(torch.randint(16, (1,), generator=g))
    picture = torch.full((1, 3, 4 * SIDE, 4 * SIDE), 0.5, dtype=torch.float64)
    for i, patch in enumerate(patches):
        row, column = divmod(i, 4)
        picture[0, :, row * SIDE + 8 : row * SIDE + 22, column * SIDE + 8 : column * SIDE + 22] = patch
    row, column = divmod(at, 4)
    box = (column * SIDE, row * SIDE, (column + 1) * SIDE, (row + 1) * SIDE)
    return picture - 0.5, patches[at][None] - 0.5, tuple(float(v) for v in box)  # type: ignore[return-value]


def random_cnn(seed: int = 0) -> nn.Module:
    g = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        net = nn.Sequential(nn.Conv2d(3, 8, 4, stride=2, padding=1, bias=False), nn.ReLU()).double()
    net[0].weight.data = torch.randn(8, 3, 4, 4, generator=g, dtype=torch.float64)
    return net.eval()


def test_target_map_equals_loops(generator: torch.Generator) -> None:
    scenes = [torch.randn(1, c, 7, 9, generator=generator, dtype=torch.float64) for c in (4, 2)]
    kernels = [torch.randn(1, 4, 3, 2, generator=generator, dtype=torch.float64), torch.ones(1, 2, 1, 1).double()]
    total = np.zeros((7, 9))
    for scene, kernel in zip(scenes, kernels, strict=True):
        high, wide = kernel.shape[-2:]
        match = np.zeros((7, 9))
        for r in range(7):
            for c in range(9):
                for i in range(high):
                    for j in range(wide):
                        y, x = r + i - high // 2, c + j - wide // 2
                        if 0 <= y < 7 and 0 <= x < 9:
                            match[r, c] += float(scene[0, :, y, x] @ kernel[0, :, i, j])
        total += 1.001 * abs(match.max()) * (match - match.min()) / (match.max() - match.min())
    assert np.allclose(target_map(scenes, kernels, (7, 9), rounds=0), total, atol=1e-12)


def test_pooling_equals_loops_and_slope_0_is_none(generator: torch.Generator) -> None:
    f = torch.randn(1, 3, 8, 11, generator=generator, dtype=torch.float64)
    windows = 1 + 6 * torch.rand(8, 11, generator=generator, dtype=torch.float64)
    made = eccentric_pool(f, windows)
    padded = torch.nn.functional.pad(f, (7, 7, 7, 7), mode="replicate")
    for r in range(8):
        for c in range(11):
            half = round((float(windows[r, c]) - 1) / 2)
            around = padded[0, :, r + 7 - half : r + 8 + half, c + 7 - half : c + 8 + half]
            assert torch.allclose(made[0, :, r, c], around.mean((1, 2)), atol=1e-12)
    picture, target, box = letters(0)
    flat = search(picture, target, lambda v: [v], found=box, eccentricity=Eccentricity(slope=(0.0,)), radius=10.0)
    assert np.array_equal(flat.xy, search(picture, target, lambda v: [v], found=box, radius=10.0).xy)


@pytest.mark.parametrize(("how", "most"), [(None, 2.0), (Eccentricity(slope=(0.1,), fovea=20.0), 6.0)])
def test_the_target_is_found_before_chance_and_no_place_twice(how: Eccentricity | None, most: float) -> None:
    """Textures of single pixels: what is pooled of them is nearly grey, so sight that fails outside tells little."""
    net, counts = random_cnn(), []
    for seed in range(12):
        picture, target, box = letters(seed)
        path = search(picture, target, lambda v: [net(v)], found=box, radius=12.0, eccentricity=how)
        counts.append(len(path) - 1)
        assert box[0] <= path.xy[-1, 0] < box[2]
        gaps = np.linalg.norm(path.xy[:, None] - path.xy, axis=2) + 1e9 * np.eye(len(path))
        assert gaps.min() > 12
    assert np.mean(counts) < most  # chance in any order of 16 items: 8.5
    blind = []
    for seed in range(12):  # the planted fault: another scene's target
        picture, _, box = letters(seed)
        blind.append(len(search(picture, letters(seed + 50)[1], lambda v: [net(v)], found=box, radius=12.0)) - 1)
    assert np.mean(blind) > np.mean(counts) + 1.5


def test_what_all_share_does_not_count_when_centred() -> None:
    scene = torch.zeros(1, 2, 6, 6, dtype=torch.float64)
    scene[:, 0] = 5.0
    scene[0, 0, 1, 1] = 7.0  # more of what all have
    scene[0, 1, 4, 4] = 1.0  # what the target alone has
    target = torch.tensor([5.0, 1.0], dtype=torch.float64).view(1, 2, 1, 1)
    plain = search(scene, target, lambda v: [v], fixations=2, radius=0.1, rounds=0)
    centred = search(scene, target, lambda v: [v], fixations=2, radius=0.1, rounds=0, centred=True)
    assert plain.xy[1].tolist() == [1.5, 1.5]
    assert centred.xy[1].tolist() == [4.5, 4.5]


def test_refusals() -> None:
    picture, target, _ = letters(0)
    with pytest.raises(LayoutError, match="slopes for 1 layers"):
        search(picture, target, lambda v: [v], eccentricity=Eccentricity())
    with pytest.raises(LayoutError, match="channels"):
        search(picture, target[:, :2], lambda v: [v])
    with pytest.raises(DegenerateError, match="constant"):
        search(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 1, 1), lambda v: [v], radius=2.0)
