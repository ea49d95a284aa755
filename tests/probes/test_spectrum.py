from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import regard as rg
from regard.core import call as call_module
from regard.errors import CallError

from ..core.test_call import make
from .rows_of import call_of, logits, watched


@pytest.mark.parametrize(("q", "k"), [(9, 9), (11, 6), (4, 13)])
@pytest.mark.parametrize("block", [1, 60, 1 << 20])
def test_equals_the_decomposition_of_the_matrix(q: int, k: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "BLOCK", block)
    p = logits(2, 3, q, k).softmax(-1)
    got = rg.probes.spectrum(call_of(p))
    assert got.shape == (2, 3, min(q, k))
    torch.testing.assert_close(got, torch.linalg.svdvals(p), rtol=0, atol=1e-7)


def test_from_queries_and_keys() -> None:
    call = make(q=7, k=5)
    torch.testing.assert_close(rg.probes.spectrum(call), torch.linalg.svdvals(call.probs()), rtol=0, atol=1e-7)


def test_chosen_heads_and_values() -> None:
    p = logits(2, 4, 8, 8).softmax(-1)
    every = torch.linalg.svdvals(p)
    got = rg.probes.spectrum(call_of(p), heads=(3, 1), top=2)
    torch.testing.assert_close(got, every[:, [3, 1], :2], rtol=0, atol=1e-7)
    assert rg.probes.spectrum(call_of(p), top=99).shape == (2, 4, 8)


def test_uniform_attention_has_one_direction_and_a_permutation_all() -> None:
    p = torch.stack([torch.full((6, 6), 1 / 6), torch.eye(6)[torch.tensor([3, 1, 5, 0, 2, 4])]])[None]
    expected = torch.stack([torch.tensor([1.0, 0, 0, 0, 0, 0]), torch.ones(6)])[None].double()
    torch.testing.assert_close(rg.probes.spectrum(call_of(p)), expected, rtol=0, atol=1e-7)
    assert bool((rg.probes.spectrum(call_of(p))[0, 0, 1:] == 0).all())


def test_values_under_the_stated_limit_are_given_as_zero() -> None:
    """Squaring costs half of the digits: what it cannot tell from 0 is 0, and what it can is right."""
    p = torch.eye(2, dtype=torch.float64).repeat(1, 1, 1, 1) * torch.tensor([[1.0], [1e-6]], dtype=torch.float64)
    torch.testing.assert_close(rg.probes.spectrum(call_of(p))[0, 0, 1].item(), 1e-6, rtol=1e-3, atol=0)
    p[..., 1, 1] = 1e-8
    assert float(rg.probes.spectrum(call_of(p))[0, 0, 1]) == 0.0


def test_what_cannot_be_asked() -> None:
    call = call_of(logits(1, 2, 4, 4).softmax(-1))
    with pytest.raises(CallError, match="no head 2: the call has 2"):
        rg.probes.spectrum(call, heads=(0, 2))
    with pytest.raises(CallError, match="the 0 largest singular values"):
        rg.probes.spectrum(call, top=0)


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    got, probs, _ = watched(dinov2, functools.partial(rg.probes.spectrum, heads=(1, 4)))
    slow = torch.linalg.svdvals(probs[:, [1, 4]])
    torch.testing.assert_close(got, slow, rtol=0, atol=1e-6 * float(slow.max()))  # float32 weights
    halved = torch.linalg.svdvals(probs[:, [1, 4], ::2])  # the planted fault: every other row is lost
    assert float((got[..., : halved.shape[-1]] - halved).abs().max()) > 1e-3
