from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.stimuli import gestalt
from regard.gaze.stimuli.gestalt import odd_one, top_share


def drawn(seed: int = 0, side: int = 48) -> torch.Tensor:
    return torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed))


def tiles(x: torch.Tensor, side: int) -> torch.Tensor:
    """All tiles, in an order that depends on nothing but what they hold."""
    cut = x.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).flatten(0, 1).flatten(1)
    return cut[cut[:, 0].argsort()]


@pytest.mark.parametrize("seed", range(3))
def test_all_copies_hold_the_same_tiles(seed: int) -> None:
    x = drawn(seed)
    trial, _ = gestalt(x, blocks=4, tiles=3, seed=seed)
    for copy in trial:
        assert torch.equal(tiles(copy, 4), tiles(x, 4))
        assert not torch.equal(copy, x)
    blocks = [copy.unfold(1, 12, 12).unfold(2, 12, 12).mean((3, 4)) for copy in (x, *trial)]
    odd = [i for i in range(3) if not torch.allclose(blocks[i + 1], blocks[0], atol=1e-5)]
    assert odd == [gestalt(x, blocks=4, tiles=3, seed=seed)[1]]


def test_without_local_exchange_the_two_are_the_picture() -> None:
    x = drawn()
    trial, odd = gestalt(x, local=0.0, displaced=0.25, seed=4, blocks=4, tiles=2)
    for i in range(3):
        moved = (trial[i] - x).unfold(1, 12, 12).unfold(2, 12, 12).abs().amax((0, 3, 4)) > 0
        assert int(moved.sum()) == (4 if i == odd else 0)  # a quarter of 16 blocks


def test_a_bag_of_tiles_is_at_chance() -> None:
    found = []
    for seed in range(60):
        trial, odd = gestalt(drawn(seed), blocks=4, tiles=3, seed=seed)
        bag = torch.stack([tiles(copy, 4).square().sum(0) for copy in trial])
        found.append(odd_one(bag) == odd)
    assert 0.15 < sum(found) / 60 < 0.52  # 1/3 within three standard errors
    assert sum(odd == 0 for odd in [gestalt(drawn(), seed=s)[1] for s in range(60)]) in range(9, 32)


def test_helpers_and_refusals() -> None:
    assert odd_one(torch.tensor([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]])) == 2
    assert top_share(torch.tensor([[3.0, 1.0, 2.0]]), 0.67).tolist() == [[3.0, 0.0, 2.0]]
    for wrong in ({"blocks": 5}, {"blocks": 1}, {"local": 1.5}):
        with pytest.raises(LayoutError):
            gestalt(drawn(), **wrong)
    with pytest.raises(LayoutError, match="share=0"):
        top_share(drawn(), 0.0)
