from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import LayoutError


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 12).view(4, 3).double())

    def forward(self, words: Tensor, pixels: Tensor, how: str = "plain") -> Any:
        made = pixels.flatten(1) @ self.weight * words.double().sum(1, keepdim=True)
        return {"logits": made if how == "plain" else -made}


def test_the_others_are_held_and_repeated() -> None:
    words, pixels = torch.tensor([[1, 2], [3, 4]]), torch.rand(2, 1, 2, 2, generator=torch.Generator()).double()
    model = rg.Given(Pair(), "pixels", {"words": words, "how": "other"})
    twice = torch.cat([pixels, pixels + 1])
    torch.testing.assert_close(model(twice)["logits"], Pair()(words.repeat(2, 1), twice, "other")["logits"])
    made = rg.explain(model, pixels, method="gradient", target=2)
    wanted = Pair().weight[:, 2].abs() * words.double().sum(1, keepdim=True)
    torch.testing.assert_close(torch.from_numpy(made.values).flatten(1), wanted.detach())
    assert not rg.Given(Pair().eval(), "pixels", {}).training


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="'words' is what is explained, and is given too"):
        rg.Given(Pair(), "words", {"words": 1})
    with pytest.raises(LayoutError, match="3 inputs of 'pixels' beside 2 of 'words'"):
        rg.Given(Pair(), "pixels", {"words": torch.ones(2, 2)})(torch.ones(3, 1, 2, 2))


def test_the_modes_of_the_models_parts_stay_as_they_are() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)).train()
    model[1].eval()
    assert rg.Given(model, "input", {}).training
    assert [part.training for part in model.modules()] == [True, True, False]
