from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.operators._shared import check, check_count, check_float, check_grid, log_decay, scale_of, step_of

from .tools import dense, drawn, qkv, refuses


def test_what_fits_passes() -> None:
    check(*qkv(q=3, k=5))
    check(*qkv(), same_count=True)
    check_float("x", torch.zeros(2, 3), "B, N")
    check_grid(rg.Grid(1, 7), qkv()[0])


def test_what_does_not_fit_is_refused_with_both_shapes() -> None:
    q, k, v = qkv(q=3, k=5)
    refuses("k is [2, 3, 5, 4] torch.float32", "the same batch", check, q, k.float(), v)
    refuses("k is [1, 3, 5, 4] torch.float64 on cpu, q is [2, 3, 3, 4]", "the same batch", check, q, k[:1], v)
    refuses("q [2, 3, 3, 4], k [2, 3, 5, 3]", "k [B, H, K, D]", check, q, k[..., :3], v)
    refuses("v [2, 3, 4, 5] do not fit", "v [B, H, K, E]", check, q, k, v[:, :, :4])
    refuses("3 queries and 5 keys", "self-attention", lambda: check(q, k, v, same_count=True))
    refuses("q is [2, 3, 3, 4] torch.int64", "floats [B, H, N, D]", check, q.long(), k, v)
    refuses("v is [3, 5, 5] torch.float64", "floats [B, H, N, D]", check, q, k, v[0])
    refuses("q has 3 tokens, but grid 2x2 has 4", "Grid", check_grid, rg.Grid(2, 2), q)
    refuses("grid 1x2+1 has 1 prefix tokens", "q[:, :, 1:]", check_grid, rg.Grid(1, 2, prefix=1), q)
    check_count("top", 1, 1, 8)
    check_count("top", 8, 1, 8)
    refuses("top=0", "1 .. any", check_count, "top", 0, 1)
    refuses("top=9", "1 .. 8", check_count, "top", 9, 1, 8)


def test_scale() -> None:
    q, k, v = qkv()
    assert scale_of(q, None) == 0.5
    assert scale_of(q, 2.0) == 2.0
    from regard.operators._shared import softmax_attention

    assert torch.allclose(softmax_attention(q, k, v), dense(q, k, v), atol=1e-12)
    bias = drawn((7, 7))[0]
    assert torch.allclose(
        softmax_attention(q, k, v, scale=1.0, bias=bias), torch.softmax(q @ k.mT + bias, -1) @ v, atol=1e-12
    )


def test_steps() -> None:
    assert [step_of(form, 4, 9) for form in ("parallel", "recurrent", "chunked")] == [9, 1, 4]  # type: ignore[arg-type]
    refuses("form='serial'", "parallel, recurrent or chunked", step_of, "serial", 4, 9)
    refuses("chunk=0", "1 .. any", step_of, "chunked", 0, 9)


def test_decays() -> None:
    like = torch.zeros(1, 2, 3, 4)
    assert log_decay([1.0, 0.5], like).shape == (1, 2, 1, 1)
    assert log_decay(torch.tensor([1.0, 0.5]), like).exp().flatten().tolist() == pytest.approx([1.0, 0.5])
    assert log_decay([0.0, 1.0], like).isfinite().all()
    refuses("decays [0.5] for 2 heads", "one for each head", log_decay, [0.5], like)
    refuses("decays [0.5, 1.5]", "between 0 (forgets) and 1", log_decay, [0.5, 1.5], like)
