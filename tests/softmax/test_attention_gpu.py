"""What of benchmarks/attention_gpu.py runs without a GPU: its gate, its times and its refusals."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "attention_gpu.py"
    spec = importlib.util.spec_from_file_location("attention_gpu", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gate_is_green_for_what_is_right_and_red_for_what_is_not(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.gate(["tiled", "composite"], "cpu") == []
    run = bench.run

    def wrong(impl: str, pattern: object, *operands: torch.Tensor) -> torch.Tensor:
        return run(impl, pattern, *operands) * (1.01 if impl == "tiled" else 1.0)

    monkeypatch.setattr(bench, "run", wrong)
    told = bench.gate(["tiled"], "cpu")
    assert "out is off by 0.01" in told[0]
    assert "CallError: triton is for GPUs" in bench.gate(["triton"], "cpu")[0]


def test_a_case_tells_times_shares_and_refusals(bench: ModuleType) -> None:
    case = bench.Case((12, 14), (5, 7), (1, 1), (1, 2, 16))
    found = bench.at(case, ["tiled", "triton", "dense"], 2, "cpu", bench.copy_speed("cpu", 1 << 20))
    assert set(found["forward"]) == set(found["forward and backward"]) == {"tiled", "dense"}
    assert set(found["refused"]) == {"triton, forward", "triton, forward and backward"}
    assert "triton is for GPUs" in found["refused"]["triton, forward"]
    assert set(found["share of the floor"]) == {"tiled"}
    assert all(0 < low <= middle <= high for low, middle, high in found["forward"].values())


def test_cases_can_be_made(bench: ModuleType) -> None:
    assert all(case.pattern().boxes for case in bench.CASES.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["attention_gpu.py"])
    with pytest.raises(SystemExit, match="needs a GPU that torch can use"):
        bench.main()
