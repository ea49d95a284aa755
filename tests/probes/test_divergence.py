from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import regard as rg
from regard.core.call import Call
from regard.errors import CallError

from ..core.test_call import make
from .rows_of import blocks, logits, whole


def call_with(s: torch.Tensor, seed: int = 1) -> Call:
    """Values of width 4 for these logits."""
    v = torch.randn(*s.shape[:2], s.shape[3], 4, generator=torch.Generator().manual_seed(seed), dtype=s.dtype)
    return Call("attn", 0, "hand", v=v, weights=s.softmax(-1).nan_to_num(0.0))


def test_equals_the_distance_of_outputs_with_and_without_the_keys() -> None:
    s, keys = logits(2, 3, 5, 7), (6, 0, 3)
    call = call_with(s)
    hidden = s.clone()
    hidden[..., list(keys)] = float("-inf")
    wanted = ((s.softmax(-1) - hidden.softmax(-1)) @ call.values).norm(dim=-1)
    got = rg.probes.divergence(whole(s), call, keys=keys)
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)
    assert float(got.min()) > 0.01
    torch.testing.assert_close(rg.probes.divergence(whole(s), call, keys=(3, 6, 0, 6)), got)


def test_no_weight_on_the_keys_gives_exactly_0() -> None:
    s = logits(1, 2, 5, 7).float()
    s[..., :3] = float("-inf")
    assert torch.equal(rg.probes.divergence(whole(s), call_with(s), keys=(0, 1, 2)), torch.zeros(1, 2, 5))
    assert torch.equal(rg.probes.divergence(whole(s), call_with(s), keys=()), torch.zeros(1, 2, 5))


def test_a_query_that_sees_nothing_else_is_left_with_nothing() -> None:
    s = logits(1, 2, 5, 7)
    s[..., 2:] = float("-inf")
    call = call_with(s)
    own = (s.softmax(-1) @ call.values).norm(dim=-1)
    torch.testing.assert_close(rg.probes.divergence(whole(s), call, keys=(0, 1)), own)


def test_heads_that_share_their_values() -> None:
    call = make(b=2, h=6, hk=2, q=7, k=5)
    rows = whole(call.logits())
    hidden = call.logits().clone()
    hidden[..., 1] = float("-inf")
    assert call.v is not None
    wanted = ((rows.probs - hidden.softmax(-1)) @ call.v.repeat_interleave(3, 1)).norm(dim=-1)
    torch.testing.assert_close(rg.probes.divergence(rows, call, keys=(1,)), wanted, rtol=1e-6, atol=1e-8)


def test_blocks_are_the_whole_in_pieces() -> None:
    s = logits(1, 2, 9, 6)
    call = call_with(s)
    pieces = torch.cat([rg.probes.divergence(rows, call, keys=(1, 5)) for rows in blocks(s, 4)], dim=2)
    torch.testing.assert_close(pieces, rg.probes.divergence(whole(s), call, keys=(1, 5)))


@pytest.mark.parametrize("key", [7, -1])
def test_a_key_that_is_not_there(key: int) -> None:
    s = logits(1, 1, 5, 7)
    with pytest.raises(CallError, match=f"no key {key}: the call has 7"):
        rg.probes.divergence(whole(s), call_with(s), keys=(0, key))


def test_a_watch_sees_what_a_knockout_does_to_the_layer(tiny_vit: nn.Module) -> None:
    """In one layer of a real model: outputs with the keys, less those with them forbidden, through the kernel."""
    x, keys = rg.image("sample:coffee", like=tiny_vit), tuple(range(50, 120))
    probe, made = functools.partial(rg.probes.divergence, keys=keys), []
    for edit in (rg.edits.scale_heads(1.0), rg.edits.knockout(keys)):
        with (
            torch.no_grad(),
            rg.edit(tiny_vit, edit, "blocks.3.attn"),
            rg.watch(tiny_vit, "blocks.3.attn", keep={"it": probe, "out": "out"}) as record,
        ):
            tiny_vit(x)
        made.append(record["blocks.3.attn"])
    torch.testing.assert_close(made[0]["it"], (made[0]["out"] - made[1]["out"]).norm(dim=-1), rtol=1e-3, atol=1e-6)
    assert float(made[1]["it"].max()) == 0.0
