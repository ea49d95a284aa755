"""The planted models hold what they promise."""

from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.testing.planted import CELLS, PlantedCNN, PlantedViT, planted_pictures

SPOTS = [(0, 0), (3, 7), (7, 2)]


def test_pictures_are_red_where_they_say_and_the_same_in_every_type() -> None:
    x = planted_pictures(SPOTS, dtype=torch.float64)
    redness = (x[:, 0] - x[:, 1:].mean(1)).unfold(1, 4, 4).unfold(2, 4, 4).mean((3, 4))
    for one, (row, column) in zip(redness, SPOTS, strict=True):
        assert divmod(int(one.argmax()), CELLS) == (row, column)
        assert one.flatten().topk(2).values[1] < 0.2
    torch.testing.assert_close(planted_pictures(SPOTS).double(), x, rtol=0, atol=1e-6)
    wide = planted_pictures([(4, 4)], reach=1)[0, 0]
    assert (wide[12:24, 12:24] > 1).all()
    assert (wide[:12] < 1).all()


def test_attention_goes_to_the_red_patch() -> None:
    model = PlantedViT()
    with torch.no_grad(), rg.watch(model, keep="probs") as record:
        model(planted_pictures(SPOTS))
    for reading in record:
        cls = reading["probs"][:, :, 0, 1:]
        for i, (row, column) in enumerate(SPOTS):
            assert (cls[i].argmax(-1) == row * CELLS + column).all()
            assert float(cls[i].amax(-1).min()) > 0.3


@pytest.mark.parametrize("model", [PlantedViT(), PlantedCNN()], ids=["vit", "cnn"])
def test_class_one_is_redness(model: torch.nn.Module) -> None:
    with torch.no_grad():
        red, grey = model(planted_pictures(SPOTS)), model(planted_pictures(SPOTS) * 0)
    assert (red[:, 1] - grey[:, 1] > 0.5).all()
    assert (red.argmax(1) == 1).all()


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    PlantedViT(seed=5)
    PlantedCNN(seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(PlantedViT(seed=5).head.weight, PlantedViT(seed=5).head.weight)
