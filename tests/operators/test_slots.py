from __future__ import annotations

import torch

import regard as rg

from .tools import agree, qkv

slots = rg.operators.slots


def test_slots_compete() -> None:
    def slow(q, k, v):  # type: ignore[no-untyped-def]
        e = (q @ k.mT / 2).exp()
        w = e / e.sum(2, keepdim=True)
        assert torch.allclose(w.sum(2), torch.ones(1).double())
        return torch.stack([(w[:, :, i, :, None] * v).sum(2) / w[:, :, i, :, None].sum(2) for i in range(4)], 2)

    agree(lambda *x: slots(*x, eps=0.0), slow, *qkv(q=4, k=9))


def test_permuting_slots_permutes_the_output_and_tokens_do_not_matter() -> None:
    q, k, v = qkv(q=4, k=9)
    order, places = torch.tensor([2, 0, 3, 1]), torch.arange(8, -1, -1)
    assert torch.allclose(slots(q[:, :, order], k, v), slots(q, k, v)[:, :, order], atol=1e-12)
    assert torch.allclose(slots(q, k[:, :, places], v[:, :, places]), slots(q, k, v), atol=1e-12)
    plain = torch.softmax(q @ k.mT / 2, -1) @ v
    assert not torch.allclose(slots(q, k, v), plain, atol=0.1)


def test_a_slot_that_lost_every_token_is_finite() -> None:
    q, k, v = qkv(q=4, k=9)
    q[:, :, 0], k = -1e3, k.abs()
    got = slots(q.float(), k.float(), v.float())
    torch.testing.assert_close(got[:, :, 0], v.float().mean(2))  # eps is all it has, the same of each token
    torch.testing.assert_close(got[:, :, 1:], slots(q[:, :, 1:], k, v).float())  # the others do not feel it
