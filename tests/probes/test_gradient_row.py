from __future__ import annotations

from functools import partial

import pytest
import torch

import regard as rg
from regard.core import call as call_module
from regard.core.call import Rows
from regard.errors import CallError

from .gradients import Layers, X, retained, score, streamed


@pytest.mark.parametrize("block", [1, 60, 1 << 21])
def test_equals_attention_times_its_retained_gradient(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "BLOCK", block)
    kept = streamed(Layers(), partial(rg.probes.gradient_row, queries=(0, 5, -1)))
    for got, (p, g) in zip(kept, retained(Layers()), strict=True):
        torch.testing.assert_close(got, (p * g)[:, :, [0, 5, 6]], rtol=1e-9, atol=1e-12)


def test_equals_finite_differences_of_the_score() -> None:
    """dL/dp_qj: by an edit that adds a little to one weight."""
    net, (kept,) = Layers(depth=1), streamed(Layers(depth=1), "gradient_row")
    with torch.no_grad(), rg.watch(net, keep="row") as record:
        net(X)
    p = record.readings[0]["row"]
    step = 1e-6
    for j in range(7):
        sides = []
        for sign in (1, -1):

            def nudge(probs: torch.Tensor, sign: int = sign, j: int = j) -> torch.Tensor:
                probs = probs.clone()
                probs[0, 1, 0, j] += sign * step
                return probs

            with torch.no_grad(), rg.edit(net, nudge):
                sides.append(float(score(net(X))))
        slope = (sides[0] - sides[1]) / (2 * step)
        assert float(kept[0, 1, 0, j]) == pytest.approx(slope * float(p[0, 1, 0, j]), rel=1e-5, abs=1e-9)


def test_a_query_that_is_not_there_is_refused() -> None:
    p = torch.full((1, 1, 3, 4), 0.25)
    with pytest.raises(CallError, match="no query 3: the call has 3"):
        rg.probes.gradient_row(Rows(0, p.log(), p, 3), p, queries=(3,))
