"""disrt-gestalt works: odd-one-out of layout, tiles kept, with two trained networks and a sparsity switch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from regard.gaze.stimuli import gestalt
from regard.gaze.stimuli.gestalt import odd_one, top_share
from regard.testing.marks import works

PER_PHOTO, SIDE = 6, 224
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def trials() -> list[tuple[Tensor, int]]:
    """Crops of four photos; 4 x 4 blocks of 4 x 4 tiles of 14 pixels, a quarter of the blocks displaced in the odd."""
    from skimage import data

    made = []
    for n, name in enumerate(("astronaut", "chelsea", "coffee", "rocket")):
        photo = torch.from_numpy(getattr(data, name)() / 255.0).float().permute(2, 0, 1)
        for k in range(PER_PHOTO):
            g = torch.Generator().manual_seed(100 * n + k)
            side = int(torch.randint(250, min(photo.shape[1:]) + 1, (1,), generator=g))
            top, left = (int(torch.randint(0, room - side + 1, (1,), generator=g)) for room in photo.shape[1:])
            cut = photo[:, top : top + side, left : left + side]
            shown = nn.functional.interpolate(cut[None], size=(SIDE, SIDE), mode="bilinear", antialias=True)[0]
            made.append(gestalt(shown, displaced=0.25, local=0.5, seed=k + 50 * n))
    return made


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % bounds of a share."""
    p, z = hits / n, 1.96
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def margin(features: Tensor, odd: int) -> float:
    """How much farther the odd one is from the other two than these from each other, in cosine distance."""
    unit = nn.functional.normalize(features, dim=-1)
    apart = 1 - unit @ unit.T
    a, b = (i for i in range(3) if i != odd)
    return float((apart[odd, a] + apart[odd, b]) / 2 - apart[a, b])


@works("disrt-gestalt")
def test_the_copies_differ_in_layout_only() -> None:
    """Every copy holds the same tiles, so any statistic of single tiles is equal; a bag of tiles is left to guess."""
    made = trials()
    for trial, _ in made[::6]:
        cut = trial.unfold(2, 14, 14).unfold(3, 14, 14).permute(0, 2, 3, 1, 4, 5).flatten(1, 2).flatten(2)
        for statistic in (cut.mean(2), cut.std(2), cut[:, :, 5], (cut[:, :, 1:] - cut[:, :, :-1]).abs().sum(2)):
            spread = statistic.sort(1).values
            assert torch.equal(spread[0], spread[1])
            assert torch.equal(spread[0], spread[2])
        assert (trial[0] != trial[1]).any()
    bag = [odd_one(torch.stack([t.flatten(1).sort(1).values.flatten() for t in trial])) == odd for trial, odd in made]
    low, high = wilson(sum(bag), len(bag))
    assert low < 1 / 3 < high


@works("disrt-gestalt")
def test_two_networks_and_sparsity(dinov2: nn.Module, efficientnet: nn.Module) -> None:
    """24 trials, chance 1/3, Wilson's 95 %: DINOv2-small's mean patch token and EfficientNet-lite0's pooled features
    are both over chance (of 36: 30 and 26 right). Keeping the top 5 % of each place's activations changes the margin
    between the odd one and the pair in at least one of them by more than 1.96 standard errors of the paired
    difference."""
    found: dict[str, list[tuple[bool, float, float]]] = {"dinov2": [], "efficientnet": []}
    for trial, odd in trials():
        x = (trial - MEAN[:, None, None]) / STD[:, None, None]
        with torch.no_grad():
            patches = dinov2.forward_features(x)[:, -256:]
            places = efficientnet.forward_features(x).flatten(2).transpose(1, 2)
        for name, tokens in (("dinov2", patches), ("efficientnet", places)):
            dense, sparse = tokens.mean(1), top_share(tokens, 0.05).mean(1)
            found[name].append((odd_one(dense) == odd, margin(dense, odd), margin(sparse, odd)))
    moved = []
    for name, rows in found.items():
        low, _ = wilson(sum(hit for hit, *_ in rows), len(rows))
        assert low > 1 / 3, (name, sum(hit for hit, *_ in rows))
        change = torch.tensor([sparse - dense for _, dense, sparse in rows])
        moved.append(float(change.mean().abs() / (change.std() / len(rows) ** 0.5)))
    assert max(moved) > 1.96, moved
