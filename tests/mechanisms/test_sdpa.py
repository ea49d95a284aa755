"""SDPA's arguments, as the kernel reads them."""

from __future__ import annotations

import torch
from torch import nn

from regard.core.call import Call
from regard.mechanisms.sdpa import sdpa

NOBODY = nn.Identity()  # a module that tells nothing of heads


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_every_argument_arrives() -> None:
    q, k, v, bias = draw(2, 3, 5, 4), draw(2, 3, 6, 4), draw(2, 3, 6, 2), draw(5, 6)
    parsed = sdpa(NOBODY, q, k, v, bias, 0.1, False, scale=0.3)
    assert parsed is not None
    call = Call(site="a", index=0, **parsed.fields)
    assert torch.equal(call.q, q)
    assert torch.equal(call.k, k)
    assert torch.equal(call.v, v)
    assert torch.equal(call.bias, bias)  # type: ignore[arg-type]
    assert (call.causal, call.scale, call.dropout) == (False, 0.3, 0.1)


def test_scale_defaults_to_the_root_of_the_head_width() -> None:
    parsed = sdpa(NOBODY, *(draw(1, 1, 2, 16),) * 3, is_causal=True)
    assert parsed is not None
    assert (parsed.fields["scale"], parsed.fields["causal"]) == (0.25, True)


def test_keys_are_broadcast_over_the_batch() -> None:
    parsed = sdpa(NOBODY, draw(4, 2, 3, 8), draw(1, 2, 3, 8), draw(1, 2, 3, 8))
    assert parsed is not None
    assert {parsed.fields[name].shape[0] for name in "qkv"} == {4}


def test_a_missing_head_axis_is_not_guessed() -> None:
    assert sdpa(NOBODY, *(draw(6, 3, 8),) * 3) is None
    assert sdpa(NOBODY, *(draw(2, 2, 6, 3, 8),) * 3) is None
