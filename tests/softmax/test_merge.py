from __future__ import annotations

import torch

from regard.softmax.merge import merge
from regard.softmax.reference import weigh

INF = float("inf")


def test_over_any_cut_it_is_attention_over_all(generator: torch.Generator) -> None:
    """31: three parts, in any order and any association; their gradients, twice."""
    s, v = (torch.randn(2, 5, 9, generator=generator, dtype=torch.float64) for _ in range(2))
    v = v[:, 0, :, None].expand(2, 9, 4).clone().requires_grad_()
    whole = weigh(s, v)
    parts = [weigh(s[..., cut], v[:, cut]) for cut in (slice(0, 2), slice(2, 7), slice(7, 9))]
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        a, b, c = (parts[at] for at in order)
        for made in (merge(*merge(*a, *b), *c), merge(*a, *merge(*b, *c))):
            for got, expected in zip(made, whole, strict=True):
                torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-13)


def test_a_part_without_keys_is_neutral_and_has_no_nan(generator: torch.Generator) -> None:
    o, lse = torch.randn(3, 4, generator=generator, dtype=torch.float64), torch.randn(3, generator=generator).double()
    nothing = torch.zeros(3, 4, dtype=torch.float64), torch.full((3,), -INF, dtype=torch.float64)
    for made in (merge(o, lse, *nothing), merge(*nothing, o, lse)):
        torch.testing.assert_close(made, (o, lse), rtol=1e-15, atol=0)
    out, total = merge(*nothing, *nothing)
    assert out.eq(0).all()
    assert total.eq(-INF).all()
    inputs = [x.clone().requires_grad_() for x in (o, lse)]
    mixed, total = merge(*inputs, nothing[0], torch.tensor([-INF, 0.0, -INF], dtype=torch.float64))
    first = torch.autograd.grad((mixed**2).sum() + total.sum(), inputs, create_graph=True)
    second = torch.autograd.grad(sum(x.pow(2).sum() for x in first), inputs)
    assert all(x.isfinite().all() for x in (*first, *second))
