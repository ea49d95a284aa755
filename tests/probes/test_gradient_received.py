from __future__ import annotations

import pytest
import torch

from regard.core import call as call_module

from .gradients import Layers, retained, streamed


@pytest.mark.parametrize("block", [1, 60, 1 << 21])
def test_equals_the_column_means_of_the_clipped_product(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "BLOCK", block)
    for got, (p, g) in zip(streamed(Layers(bias=True), "gradient_received"), retained(Layers(bias=True)), strict=True):
        torch.testing.assert_close(got, (p * g).clamp_min(0).mean(2), rtol=1e-9, atol=1e-12)
