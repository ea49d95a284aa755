from __future__ import annotations

import pytest
import torch

from regard.softmax import _assembly
from regard.softmax._assembly import assembled
from regard.softmax.composite import _box

from .problems import FULL, OTHERS, SEPARABLE, a_problem, agree


def test_all_parts_in_float32_where_operands_are_half() -> None:
    """A box may come back in half; what is merged to it is computed in float32 from the same operands."""
    it, _ = a_problem(SEPARABLE["criss-cross, prefix"], heads=2, **FULL)
    half = it.to(torch.bfloat16)

    def in_half(p, box):  # type: ignore[no-untyped-def]
        out, lse = _box(p.to(torch.float32), box)
        return out.to(torch.bfloat16), lse

    out, lse = assembled(half, in_half)
    wide, wide_lse = assembled(half.to(torch.float64), _box)
    assert (out.dtype, lse.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(out.double(), wide, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(lse.double(), wide_lse, rtol=1e-5, atol=1e-5)


def test_rows_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_assembly, "PAIRS", 700)
    agree(lambda p: assembled(p, _box), a_problem(OTHERS["random, prefix"], heads=2, **FULL))


def test_a_box_that_is_left_out_is_noticed() -> None:
    """The planted fault."""

    def nothing(p, box):  # type: ignore[no-untyped-def]
        out, lse = _box(p, box)
        return out * 0, lse - torch.inf

    it = a_problem(SEPARABLE["criss-cross, prefix"], heads=2)
    with pytest.raises(AssertionError, match="out"):
        agree(lambda p: assembled(p, nothing), it)
