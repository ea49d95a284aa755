from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.errors import CallError, DegenerateError, LayoutError, MethodError
from regard.softmax import LowRank, RelativeTable, merge
from regard.softmax.attend import attend, cheapest, check_kinds, tiled_cost

from .problems import EVERY, a_problem

P = rg.patterns
IMPLS = ("reference", "composite", "tiled", "dense")  # those that compute in float64, on a CPU


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


Q, K, V = (draw(2, 4, 48, 8, seed=seed) for seed in range(3))
NEAR = P.neighborhood((6, 8), 3)


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("impl", IMPLS)
class TestIdentities:
    """Of research: values under any pattern, whichever way they are computed."""

    def out(self, impl: str, q: Tensor = Q, k: Tensor = K, v: Tensor = V, **given: object) -> Tensor:
        return attend(q, k, v, **({"pattern": NEAR} | given), impl=impl).out  # type: ignore[arg-type]

    def test_of_values(self, impl: str) -> None:
        close(self.out(impl, v=torch.ones_like(V)), torch.ones_like(V))  # 24
        seen = NEAR.mask()
        lowest = V[:, :, None].masked_fill(~seen[..., None], 9e9).amin(3)
        highest = V[:, :, None].masked_fill(~seen[..., None], -9e9).amax(3)
        got = self.out(impl)
        assert ((got >= lowest - 1e-12) & (got <= highest + 1e-12)).all()
        other = draw(2, 4, 48, 8, seed=9)
        close(self.out(impl, v=2 * V - 3 * other), 2 * got - 3 * self.out(impl, v=other))  # 25

    def test_of_keys(self, impl: str) -> None:
        close(self.out(impl, k=K + draw(2, 4, 1, 8, seed=5)), self.out(impl))  # 26
        order = torch.randperm(48, generator=torch.Generator().manual_seed(1))
        dense = P.dense(48)
        close(self.out(impl, k=K[:, :, order], v=V[:, :, order], pattern=dense), self.out(impl, pattern=dense))  # 27
        close(self.out(impl, q=Q[:, :, order], pattern=dense), self.out(impl, pattern=dense)[:, :, order])

    def test_of_scale(self, impl: str) -> None:
        sharp = self.out(impl, scale=1e4)  # 29
        best = (Q @ K.mT).masked_fill(~NEAR.mask(), float("-inf")).argmax(-1)
        close(sharp, V.gather(2, best[..., None].expand_as(V)))
        close(self.out(impl, pattern=P.neighborhood((6, 8), 1)), V)  # 3

    def test_of_parts(self, impl: str) -> None:
        halves = [(K[:, :, part], V[:, :, part]) for part in (slice(0, 20), slice(20, 48))]
        one = attend(Q, *halves[0], impl=impl)  # type: ignore[arg-type]
        other = attend(Q, *halves[1], impl=impl)  # type: ignore[arg-type]
        out, lse = merge(one.out, one.lse, other.out, other.lse)  # 31
        whole = attend(Q, K, V, impl=impl)  # type: ignore[arg-type]
        close(out, whole.out)
        close(lse, whole.lse)
        query = Q.clone().requires_grad_()
        parts = [attend(query, *half, impl=impl) for half in halves]  # type: ignore[arg-type]
        merged, _ = merge(*(x for part in parts for x in (part.out, part.lse)))
        (got,) = torch.autograd.grad(merged.sin().sum(), query)
        close(got, torch.autograd.grad(attend(query, K, V, impl=impl).out.sin().sum(), query)[0])  # type: ignore[arg-type]
        more = attend(Q, *halves[0], extra_kv=halves[1], impl=impl)  # type: ignore[arg-type]  # 33
        close(more.out, whole.out)

    def test_of_a_sink(self, impl: str) -> None:
        plain = attend(Q, K, V, pattern=NEAR, impl=impl)  # type: ignore[arg-type]
        sunk = attend(Q, K, V, pattern=NEAR, sink=torch.zeros(4).double(), impl=impl)  # type: ignore[arg-type]
        close(sunk.out, plain.lse.sigmoid()[..., None] * plain.out)  # 32

    def test_of_heads(self, impl: str) -> None:
        for shared in (1, 2):  # 34
            few = (K[:, :shared], V[:, :shared])
            many = [x.repeat_interleave(4 // shared, 1) for x in few]
            close(self.out(impl, k=few[0], v=few[1]), self.out(impl, k=many[0], v=many[1]))

    def test_of_padding(self, impl: str) -> None:
        line = P.neighborhood(48, 48)
        keep = torch.arange(48).expand(2, 48) < 30
        cropped = attend(Q, K[:, :, :30], V[:, :, :30], impl=impl)  # type: ignore[arg-type]
        close(self.out(impl, pattern=line, mask=keep), cropped.out)  # 36
        blind = attend(Q, K, V, pattern=NEAR, mask=torch.zeros(2, 48, dtype=torch.bool), impl=impl)  # type: ignore[arg-type]
        assert blind.out.eq(0).all()
        assert blind.lse.eq(float("-inf")).all()

    def test_of_tables(self, impl: str) -> None:
        flat = RelativeTable(torch.full((4, 11, 15), 3.0).double())
        close(self.out(impl, bias=RelativeTable(torch.zeros(4, 11, 15).double())), self.out(impl))  # 38
        close(self.out(impl, bias=flat), self.out(impl))
        table = draw(4, 11, 15, seed=6)
        y, x = torch.arange(48) // 8, torch.arange(48) % 8
        pairs = table[:, y[None] - y[:, None] + 5, x[None] - x[:, None] + 7]
        close(self.out(impl, bias=RelativeTable(table)), self.out("reference", bias=pairs))

    def test_of_low_rank(self, impl: str) -> None:
        u, w = draw(1, 4, 48, 3, seed=7), draw(2, 4, 48, 3, seed=8)
        close(self.out(impl, bias=LowRank(u, w)), self.out("reference", bias=u @ w.mT))  # 42
        close(self.out(impl, k=K[:, :2], v=V[:, :2], bias=LowRank(u, w)),
              self.out("reference", k=K[:, :2], v=V[:, :2], bias=u @ w.mT))  # fmt: skip
        place = torch.stack([torch.arange(48) // 8, torch.arange(48) % 8], -1).double()
        ones = torch.ones(48, 1).double()
        square = place.pow(2).sum(-1, keepdim=True)
        far = torch.cdist(place, place).pow(2)
        low = LowRank(-0.3 * torch.cat([square, -2 * place, ones], -1), torch.cat([ones, place, square], -1))
        close(self.out(impl, bias=low), self.out("reference", bias=-0.3 * far))  # 43

    def test_of_doubled_keys(self, impl: str) -> None:
        twice = [torch.cat([x, x[:, :, :10]], 2) for x in (K, V)]
        bias = torch.zeros(48).double()
        bias[:10] = torch.log(torch.tensor(2.0).double())
        low = LowRank(torch.ones(48, 1).double(), bias[:, None])
        close(self.out(impl, pattern=P.dense(48), bias=low), attend(Q, *twice, impl=impl).out)  # type: ignore[arg-type]  # 41


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_lose_no_more_than_their_own_rounding(impl: str, dtype: torch.dtype) -> None:
    sink = torch.zeros(4, dtype=dtype)
    half = [x.to(dtype).requires_grad_() for x in (Q, K, V)]
    wide = [x.detach().double().requires_grad_() for x in half]
    pattern = P.criss_cross((6, 8))
    got, expected = (
        attend(*x, pattern=pattern, sink=s, impl=i)
        for x, s, i in ((half, sink, impl), (wide, sink.double(), "reference"))
    )
    assert (got.out.dtype, got.lse.dtype) == (dtype, torch.float32)
    unit = torch.finfo(dtype).eps
    assert float((got.out - expected.out).detach().abs().max()) < 4 * unit
    assert float((got.lse - expected.lse).detach().abs().max()) < 4 * unit
    grads = [torch.autograd.grad(x.out.double().sum(), y) for x, y in ((got, half), (expected, wide))]
    assert all(float((a - b).abs().max()) < 8 * unit for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("impl", IMPLS)
def test_under_autocast_operands_are_cast_and_nothing_else(impl: str) -> None:
    """What stands in float64 stays there."""
    q, k, v = (x.float().requires_grad_() for x in (Q, K, V))
    sink = torch.zeros(4)
    with torch.autocast("cpu", torch.bfloat16):
        got = attend(q, k.bfloat16(), v, pattern=NEAR, sink=sink, impl=impl)
        assert attend(Q, K, V, pattern=NEAR, impl=impl).out.equal(attend(Q, K, V, pattern=NEAR, impl=impl).out)
        assert attend(Q, K, V, pattern=NEAR, impl=impl).out.dtype == torch.float64
    half = [x.bfloat16() for x in (q, k, v)]
    wanted = attend(*half, pattern=NEAR, sink=sink.bfloat16(), impl=impl)
    assert got.out.dtype == torch.bfloat16
    assert got.out.equal(wanted.out)
    assert got.lse.equal(wanted.lse)
    (grad,) = torch.autograd.grad(got.out.float().sum(), q)
    assert grad.dtype == torch.float32


class TestFunctionTransforms:
    """torch.func looks into `composite` and `reference`; the fused ways are refused by name."""

    def test_vmap_is_a_loop(self) -> None:
        many = torch.stack([Q, Q.flip(2), 2 * Q])
        got = torch.func.vmap(lambda q: attend(q, K, V, pattern=NEAR).out)(many)
        close(got, torch.stack([attend(q, K, V, pattern=NEAR, impl="reference").out for q in many]))

    @pytest.mark.parametrize("impl", ["auto", "composite", "reference"])
    def test_gradients_of_gradients(self, impl: str) -> None:
        def total(q: Tensor) -> Tensor:
            return attend(q, K[:1], V[:1], pattern=NEAR, impl=impl).out.sin().sum()

        leaf = Q[:1].clone().requires_grad_()
        (first,) = torch.autograd.grad(attend(leaf, K[:1], V[:1], pattern=NEAR, impl="reference").out.sin().sum(), leaf)
        close(torch.func.grad(total)(Q[:1]), first)
        way = draw(1, 4, 48, 8, seed=4)
        second = torch.func.grad(lambda q: (torch.func.grad(total)(q) * way).sum())(Q[:1])  # symmetric
        step = 1e-5
        near = [torch.func.grad(total)(Q[:1] + sign * step * way) for sign in (1, -1)]
        torch.testing.assert_close(second, (near[0] - near[1]) / (2 * step), rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("impl", ["tiled", "dense"])
    def test_refused(self, impl: str) -> None:
        with pytest.raises(CallError, match=f"torch.func cannot look into {impl}"):
            torch.func.grad(lambda q: attend(q, K, V, pattern=NEAR, impl=impl).out.sum())(Q)


def test_criss_cross_is_the_merge_of_row_and_column_with_itself_once() -> None:
    """17: what was counted twice is taken away by hand."""
    row, column = (attend(Q, K, V, pattern=P.axial((6, 8), at)) for at in (1, 0))
    both, _ = merge(row.out, row.lse, column.out, column.lse)
    cross = attend(Q, K, V, pattern=P.criss_cross((6, 8)))
    own = (Q * K).sum(-1) * 8**-0.5
    total = torch.logaddexp(row.lse, column.lse)
    weight = (own - total).exp()
    close((both - weight[..., None] * V) / (1 - weight[..., None]), cross.out)


@pytest.mark.parametrize("name", EVERY)
def test_auto_takes_what_fits_and_says_so(name: str) -> None:
    it, _ = a_problem(EVERY[name])
    made = attend(it.q, it.k, it.v, pattern=it.pattern)
    assert made.impl in ("tiled", "dense")
    assert made.impl == "dense" or it.pattern.boxes is not None
    close(made.out, attend(it.q, it.k, it.v, pattern=it.pattern, impl="reference").out)


def test_the_rule_of_auto() -> None:
    x = torch.zeros(1, 3, 4096, 8)
    near, wide = P.neighborhood((64, 64), 7), P.neighborhood((64, 64), 61)

    def rule(pattern: object, **given: object) -> str:
        return attend(x, x, x, pattern=pattern, **given).impl  # type: ignore[arg-type]

    assert rule(near) == "tiled"
    assert rule(wide) == "dense"
    assert rule(None) == "dense"
    table = RelativeTable(torch.zeros(3, 127, 127))
    assert rule(near, bias=table) == "tiled"
    small = torch.zeros(1, 1, 48, 8)
    assert attend(small, small, small, pattern=NEAR, bias=torch.zeros(48, 48)).impl == "dense"
    learned = RelativeTable(torch.zeros(1, 11, 15, requires_grad=True))
    made = attend(small, small, small, pattern=NEAR, bias=learned)
    assert (made.impl, made.why) == ("composite", "the bias needs a gradient")
    it, _ = a_problem(near, heads=3, groups=1)
    assert tiled_cost(it) < 4096**2 / 10
    assert cheapest(it)[0] == "tiled"
    assert repr(made) == "Attended([1, 1, 48, 8], composite: the bias needs a gradient)"


def test_a_choice_is_never_replaced() -> None:
    x = torch.zeros(1, 1, 9, 4)
    with pytest.raises(CallError, match="has no intervals"):
        attend(x, x, x, pattern=P.random(9, 3), impl="tiled")
    with pytest.raises(MethodError, match="no implementation named 'tilde'"):
        attend(x, x, x, impl="tilde")
    assert attend(x, x, x, impl="composite").impl == "composite"


def test_refusals() -> None:
    x = torch.zeros(1, 1, 9, 4)
    with pytest.raises(LayoutError, match=r"q \[1, 9, 4\]"):
        attend(x[0], x, x)
    bad = x.clone()
    bad[0, 0, 3, 1] = float("nan")
    with pytest.raises(DegenerateError, match=r"attention gives NaN; not finite: k has 1"):
        attend(x, bad, x)
    with pytest.raises(LayoutError, match="which is for 48 and 48"):
        rg.attend(x, x, x, pattern=NEAR)


def test_what_is_no_tensor_or_no_pattern_is_told() -> None:
    q = torch.randn(1, 1, 4, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(LayoutError, match=r"k \['list'\]"):
        check_kinds(q, [1.0], q, None)
    with pytest.raises(LayoutError, match="pattern='neighborhood'"):
        check_kinds(q, q, q, "neighborhood")
    with pytest.raises(LayoutError, match=r"v \[4, 2\]"):
        rg.attend(q, q, q[0, 0])


@pytest.mark.parametrize("impl", [*IMPLS, "auto"])
def test_no_pictures_are_no_tasks(impl: str) -> None:
    assert attend(Q[:0], K[:0], V[:0], pattern=NEAR, impl=impl).out.shape == (0, 4, 48, 8)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"sink": 0.0}, r"sink=0\.0"),
        ({"scale": "a"}, "scale='a'"),
        ({"scale": float("nan")}, "scale=nan"),
        ({"q": Q[..., :0], "k": K[..., :0]}, r"q \[2, 4, 48, 0\] on cpu has heads of width 0"),
        ({"q": Q.to("meta"), "k": K.to("meta"), "v": V.to("meta")}, r"q \[2, 4, 48, 8\] on meta has no data"),
    ],
)
def test_other_kinds_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(LayoutError, match=text):  # where no annotations are checked, as with users
        check_kinds(**({"q": Q, "k": K, "v": V, "pattern": NEAR} | given))


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_a_bias_is_told_to_be_the_cause(wrong: float) -> None:
    bias = torch.zeros(48, 48, dtype=torch.float64)
    bias[0, :2] = wrong
    bias[1, 5:] = -torch.inf
    with pytest.raises(DegenerateError, match="not finite: bias has 2"):
        attend(Q, K, V, pattern=P.dense(48), bias=bias)
