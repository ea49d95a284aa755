"""That triton compiles the kernels for a GPU, which takes none; `test_triton` runs them in the interpreter."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

triton = pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing")

ONE = "constexpr"  # numbers that are 1 are compiled in
STRIDES, LINE, WHOLE = ("i32", "i32", "i32", ONE), (ONE, "i32", "i32"), (ONE, ONE, ONE)


def signature(kernel: Any, kind: str) -> dict[str, Any]:
    """What a picture's pattern is called with."""
    known = {
        **dict.fromkeys(("lse", "delta"), "*fp32"), **dict.fromkeys(("ends", "tiles"), "*i32"), "keep": "*u8",
        **dict.fromkeys(("q", "k", "v", "out", "grad", "dq", "dk", "dv", "table"), f"*{kind}"),
        **dict.fromkeys(("strides_q", "strides_k", "strides_v"), STRIDES), "heads": "i32", "groups": "i32",
        **dict.fromkeys(("axes_q", "axes_k", "counts"), LINE), "widths": ("i32",) * 2, "tokens": ("i32",) * 2,
        "dilations": WHOLE, "longest": "i32", "most": "i32", "sizes": ("i32", "i32", ONE, "i32", "i32"),
        "scale": "fp32",
    }  # fmt: skip
    return {name: known.get(name, ONE) for name in kernel.arg_names}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["forward", "backward_q", "backward_kv"])
def test_compiled_for_an_h100_with_its_matrix_units(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from regard.softmax import _kernels
    from regard.softmax.triton import AT_A_TIME, TILE

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(_kernels, name)
    given, names = signature(kernel, "bf16"), kernel.arg_names
    fixed = {"tabled": True, "padded": True, "shape": (1, 8, TILE // 8), "many": AT_A_TIME, "room_k": 64, "room_v": 64}
    constants: dict[tuple[int, ...], Any] = {(names.index(word),): value for word, value in fixed.items()}
    for at, kind in enumerate(given.values()):
        if isinstance(kind, tuple):
            constants |= {(at, n): 1 for n, one in enumerate(kind) if one == ONE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings of triton's that change
        made = triton.compile(ASTSource(kernel, given, constants), target=GPUTarget("cuda", 90, 32))
    assert "wgmma.mma_async" in made.asm["ptx"]
    assert made.metadata.shared < 227 << 10  # what a program may hold
