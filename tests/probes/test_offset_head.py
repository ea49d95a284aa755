from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import regard as rg
from regard.core import call as call_module
from regard.errors import CallError

from .rows_of import call_of, logits, shifted, watched


@pytest.mark.parametrize("block", [1, 130, 1 << 20])
def test_is_the_largest_entry_of_the_profile(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from .test_offset_profile import naive

    grid = rg.Grid(5, 4, prefix=1)
    p = logits(2, 3, 21, 21).softmax(-1)
    monkeypatch.setattr(call_module, "BLOCK", block)
    got, profile = rg.probes.offset_head(call_of(p), grid), naive(p, grid, 2)
    for b in range(2):
        for h in range(3):
            dy, dx, share = got[b, h].tolist()
            assert share == pytest.approx(float(profile[b, h].max()))
            assert share == pytest.approx(float(profile[b, h, int(dy) + 2, int(dx) + 2]))


@pytest.mark.parametrize("dy", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("dx", [-2, -1, 0, 1, 2])
def test_every_fixed_offset_is_found_exactly(dy: int, dx: int) -> None:
    grid = rg.Grid(5, 6, prefix=1)
    assert rg.probes.offset_head(call_of(shifted(grid, dy, dx)[None, None]), grid).tolist() == [[[dy, dx, 1.0]]]


def test_down_and_right_are_not_confused() -> None:
    """The planted fault: on the grid turned on its side, it is another offset."""
    p = call_of(shifted(rg.Grid(4, 6), 1, 0)[None, None])
    assert rg.probes.offset_head(p, rg.Grid(4, 6)).tolist() == [[[1, 0, 1.0]]]
    assert rg.probes.offset_head(p, rg.Grid(6, 4)).tolist() == [[[1, 2, 1.0]]]  # six tokens on, read in rows of four


def test_uniform_attention_has_no_offset() -> None:
    share = rg.probes.offset_head(call_of(torch.full((1, 2, 26, 26), 1 / 26)), rg.Grid(5, 5, prefix=1))[..., 2]
    torch.testing.assert_close(share, torch.full((1, 2), 1 / 26))


def test_a_radius_that_leads_off_the_grid() -> None:
    with pytest.raises(CallError, match="no pair of patches is 2 apart both ways on grid 2x2"):
        rg.probes.offset_head(call_of(torch.full((1, 1, 4, 4), 0.25)), rg.Grid(2, 2))


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    got, probs, grid = watched(dinov2, functools.partial(rg.probes.offset_head, radius=1))
    again = rg.probes.offset_head(call_of(probs), grid, radius=1)
    torch.testing.assert_close(got.double(), again, rtol=1e-5, atol=1e-6)
