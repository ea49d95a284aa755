from __future__ import annotations

import torch
from torch import Tensor

import regard as rg

from .tools import agree, dense, qkv, refuses

pyramid = rg.operators.pyramid
SHARES = (0.25, 0.25, 0.25)


def loop(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Each block of four queries: its key blocks by rank, one in full, one in pairs, one as a single mean."""
    out = torch.empty(*q.shape[:3], v.shape[-1], dtype=q.dtype)
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            for n in range(0, q.shape[2], 4):
                mean = q[b, h, n : n + 4].mean(0)
                likes = torch.stack([k[b, h, m : m + 4].mean(0) @ mean for m in range(0, 16, 4)])
                first, second, third = (4 * int(i) for i in likes.argsort(descending=True)[:3])
                ks, vs, sizes = [], [], []
                for start, size in ((first, 1), (second, 2), (third, 4)):
                    for x, gathered in ((k, ks), (v, vs)):
                        gathered.append(x[b, h, start : start + 4].unflatten(0, (-1, size)).mean(1))
                    sizes += [size] * (4 // size)
                logits = q[b, h, n : n + 4] @ torch.cat(ks).T / 2 + torch.tensor(sizes).double().log()
                out[b, h, n : n + 4] = torch.softmax(logits, -1) @ torch.cat(vs)
    return out


def test_equals_a_loop_over_blocks() -> None:
    agree(lambda *x: pyramid(*x, block=4, shares=SHARES), loop, *qkv(q=8, k=16))


def test_everything_in_full_is_dense_attention() -> None:
    q, k, v = qkv(q=8, k=16)
    assert torch.allclose(pyramid(q, k, v, block=4, shares=(1.0,)), dense(q, k, v), atol=1e-12)
    assert not torch.allclose(pyramid(q, k, v, block=4, shares=(0.5,)), dense(q, k, v), atol=0.01)


def test_equal_keys_cost_nothing_to_pool() -> None:
    q, k, v = qkv(q=8, k=16)
    k, v = (x[:, :, ::4].repeat_interleave(4, 2) for x in (k, v))
    assert torch.allclose(pyramid(q, k, v, block=4, shares=(0.25, 0.25, 0.5)), dense(q, k, v), atol=1e-12)


def test_refusals() -> None:
    inputs = qkv(q=8, k=16)
    refuses("shares (0.5, 0.9)", "at most 1 together", pyramid, *inputs, block=4, shares=(0.5, 0.9))
    refuses("level 3 of blocks of 4", "a multiple of 8", pyramid, *inputs, block=4, shares=(0.25,) * 4)
    refuses("8 tokens in blocks of 3", "divides the tokens", pyramid, *inputs, block=3)
