"""SDPA's arguments, as the kernel reads them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.core.call import Call
from regard.core.scope import Maker
from regard.mechanisms.sdpa import packed, sdpa, unpack

NOBODY = Maker(nn.Identity())  # a module that tells nothing of heads


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
    given = {"q": draw(4, 2, 3, 8), "k": draw(1, 2, 3, 8), "v": 2 * draw(1, 2, 3, 8)}
    parsed = sdpa(NOBODY, *given.values())
    assert parsed is not None
    for name, x in given.items():
        assert torch.equal(parsed.fields[name], x.expand(4, 2, 3, 8))


def test_a_missing_head_axis_is_not_guessed() -> None:
    assert sdpa(NOBODY, *(draw(6, 3, 8),) * 3) is None
    assert sdpa(NOBODY, *(draw(2, 2, 6, 3, 8),) * 3) is None


class Decoding(nn.Module):
    """Six heads of queries, two of keys; the single query of each head stands in its group, as in transformers."""

    num_key_value_groups = 3

    def __init__(self, pack: bool, mask: Tensor | None) -> None:
        super().__init__()
        self.config = SimpleNamespace(num_attention_heads=6)
        self.pack, self.mask = pack, mask

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = self.mask
        if not self.pack:
            return F.scaled_dot_product_attention(q, *(x.repeat_interleave(3, 1) for x in (k, v)), mask)
        if mask is not None and mask.shape[1] > 1:
            mask = mask.reshape(2, 2, 3, -1)
        return F.scaled_dot_product_attention(q.reshape(2, 2, 3, -1), k, v, mask).reshape(2, 6, 1, -1)


@pytest.mark.parametrize("mask", [None, draw(2, 1, 1, 5) > 0, draw(2, 6, 1, 5)], ids=["none", "padding", "of heads"])
def test_packed_queries_are_the_heads_they_stand_for(mask: Tensor | None) -> None:
    q, k, v = draw(2, 6, 1, 4), draw(2, 2, 5, 4), draw(2, 2, 5, 4)
    records = []
    for pack in (True, False):
        net = Decoding(pack, mask)
        with rg.watch(net, keep=["probs", "out"]) as record:
            net(q, k, v)
        records.append(record)
    one, other = (record["(root)"] for record in records)
    assert (one.heads, one.queries, one.keys) == (6, 1, 5)
    torch.testing.assert_close(one["probs"], other["probs"])
    torch.testing.assert_close(one["out"], other["out"])
    assert float(one.error) < 1e-5
    outs = []
    for pack in (True, False):  # and what is edited goes back in the same packing
        net = Decoding(pack, mask)
        with rg.edit(net, rg.edits.temperature(0.5, heads=[1, 4]) >> rg.edits.ablate([3])):
            outs.append(net(q, k, v))
    torch.testing.assert_close(*outs)
    assert outs[0].shape == (2, 6, 1, 4)


def test_queries_of_several_tokens_are_not_taken_for_packed_heads() -> None:
    net = Decoding(pack=True, mask=None)
    kept, spread = draw(1, 2, 3, 4), draw(1, 6, 3, 4)
    assert packed(net, kept, kept)
    assert not packed(net, spread, spread), "three tokens of six heads"
    assert not packed(net, spread, kept), "three tokens of six heads, by enable_gqa"
    assert not packed(net, draw(1, 2, 2, 4), kept), "another number of queries"
    assert not packed(NOBODY.module, kept, kept)
    del net.config
    assert not packed(net, kept, kept), "nobody says how many heads there are"
    assert torch.equal(unpack(kept)[0, 4, 0], kept[0, 1, 1])
