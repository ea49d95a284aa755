from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.errors import CallError, LayoutError
from regard.softmax import LowRank, RelativeTable
from regard.softmax._problem import _kept_rows, problem

from .problems import SEPARABLE, a_problem

X = torch.zeros(1, 4, 6, 8)
P = rg.patterns


def make(q: Tensor = X, k: Tensor = X, v: Tensor = X, **given: object) -> object:
    facts = {"pattern": P.dense(6), "bias": None, "scale": None, "mask": None, "extra": None, "sink": None} | given
    return problem(q, k, v, **facts)  # type: ignore[arg-type]


REFUSED = {
    "axes": ({"q": X[0]}, r"q \[4, 6, 8\], k \[1, 4, 6, 8\], v \[1, 4, 6, 8\]"),
    "width": ({"k": X[..., :4]}, r"k \[1, 4, 6, 4\]"),
    "heads": ({"k": X[:, :3], "v": X[:, :3]}, r"k \[1, 3, 6, 8\]"),
    "batch": ({"q": X.expand(2, -1, -1, -1)}, r"q \[2, 4, 6, 8\]"),
    "kind": ({"q": X.long(), "k": X.long(), "v": X.long()}, "q, k, v of torch.int64"),
    "two kinds": ({"v": X.double()}, "v is torch.float64 on cpu, q torch.float32 on cpu"),
    "two devices": ({"k": X.to("meta")}, "k is torch.float32 on meta, q torch.float32 on cpu"),
    "mask elsewhere": ({"mask": torch.ones(1, 6, dtype=torch.bool, device="meta")}, "mask is on meta, q on cpu"),
    "another grid": ({"pattern": P.dense((2, 4))}, r"6 queries and 6 keys under dense\(2x4\), which is for 8 and 8"),
    "of other heads": (
        {"pattern": P.explicit(torch.ones(2, 4, 6, 6, dtype=torch.bool))},
        r"was made for \[2, 4\] pictures and heads, q has \[1, 4\]",
    ),
    "mask": ({"mask": torch.ones(6, dtype=torch.bool)}, r"mask \[6\] torch.bool"),
    "mask of numbers": ({"mask": torch.ones(1, 6)}, r"mask \[1, 6\] torch.float32"),
    "bias": ({"bias": torch.zeros(5, 6)}, r"a bias of \[5, 6\] for \[1, 4, 6, 6\]"),
    "bool bias": ({"bias": torch.ones(6, 6, dtype=torch.bool)}, "a bias of bool is a mask"),
    "table": ({"bias": RelativeTable(torch.zeros(4, 10))}, r"a table of \[4, 10\] for 4 heads on 1 axes"),
    "short table": ({"bias": RelativeTable(torch.zeros(4, 9))}, r"a table of \[4, 9\] reaches 4 tokens, .* reaches 5"),
    "rank": ({"bias": LowRank(torch.zeros(6, 2), torch.zeros(6, 3))}, "u of rank 2, w of rank 3"),
    "low rank": ({"bias": LowRank(torch.zeros(5, 2), torch.zeros(6, 2))}, r"a low-rank bias of \[5, 2\], \[6, 2\]"),
    "extra": ({"extra": (X[:, :2], X)}, r"extra_kv\[0\] is \[1, 2, 6, 8\] torch.float32, the keys are \[1, 4, 6, 8\]"),
    "extra counts": ({"extra": (X[:, :, :2], X)}, "2 extra keys and 6 extra values"),
    "sink": ({"sink": torch.zeros(3)}, r"sink \[3\] torch.float32"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_tell_both_values(name: str) -> None:
    given, text = REFUSED[name]
    with pytest.raises(LayoutError, match=text):
        make(**given)  # type: ignore[arg-type]


def test_low_rank_with_extra_keys() -> None:
    with pytest.raises(CallError, match="a low-rank bias says nothing about extra_kv"):
        make(bias=LowRank(torch.zeros(6, 2), torch.zeros(6, 2)), extra=(X, X))


@pytest.mark.parametrize("name", ["near", "uneven dilation", "criss-cross, prefix", "cross, dense"])
def test_a_table_is_read_by_relative_place(name: str) -> None:
    it, _ = a_problem(SEPARABLE[name], table=True)
    added, pattern = it.logits(0, 10**6), SEPARABLE[name]
    q, k = pattern.queries, pattern.keys
    assert it.table is not None
    half = [n // 2 for n in it.table.shape[1:]]
    for i in range(0, q.body, 7):
        for j in range(0, k.body, 5):
            at = [
                int(b) - int(a) + h
                for a, b, h in zip(q.places(torch.tensor(i)), k.places(torch.tensor(j)), half, strict=True)
            ]
            got = added[0, :, q.prefix + i, k.prefix + j]
            seen = pattern.mask()[q.prefix + i, k.prefix + j]
            expected = it.table[(slice(None), *at)] if seen else torch.full((4,), float("-inf"), dtype=torch.float64)
            assert got.equal(expected)
    if q.prefix:
        assert added[0, :, : q.prefix].eq(0).all()


def test_rows_are_kept_of_small_patterns_and_serve_every_mode(generator: torch.Generator) -> None:
    """Made in inference mode they serve a gradient; a pattern of another window, or made from data, is another."""
    q, k, v = torch.randn(3, 2, 2, 25, 8, generator=generator, dtype=torch.float64)
    for window in (3, 5, 3):
        pattern = rg.patterns.neighborhood((5, 5), window)
        with torch.inference_mode():
            rg.attend(q, k, v, pattern=pattern, impl="dense")
        slopes = []
        for impl in ("dense", "reference"):
            leaf = q.clone().requires_grad_()
            slopes += torch.autograd.grad(rg.attend(leaf, k, v, pattern=pattern, impl=impl).out.square().sum(), leaf)
        torch.testing.assert_close(*slopes)
    before = _kept_rows.cache_info()
    rg.attend(q, k, v, pattern=rg.patterns.neighborhood((5, 5), 3), impl="dense")
    assert _kept_rows.cache_info().hits > before.hits
