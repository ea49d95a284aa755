"""Quartiles, floors and threads by hand; ways run in turn; a bench is written whole."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from regard.bench.timing import Bench, Machine, in_turn, machine, quartiles, seconds, threads
from regard.errors import LayoutError
from regard.results import Table

HERE = Machine("x", "2", "cpu", "float32", 1, gemm=1e9, copy=1e6)


def test_the_floor_is_the_slower_of_the_two() -> None:
    assert HERE.floor(flops=2e9, moved=1e6) == 2.0  # 2 s of products, 1 s of copies
    assert HERE.floor(flops=1e9, moved=3e6) == 3.0


def test_quartiles_of_known_values() -> None:
    assert quartiles([5.0, 1.0, 2.0, 4.0, 3.0]) == (2.0, 3.0, 4.0)
    assert quartiles([7.0]) == (7.0, 7.0, 7.0)


def test_threads_are_put_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with suppress(RuntimeError), threads(1):
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == before
    with pytest.raises(LayoutError, match="0 threads"), threads(0):
        pass


def test_ways_take_turns_after_a_first_run_that_is_not_counted() -> None:
    order: list[str] = []
    found = in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, "cpu")
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert {name: len(taken) for name, taken in found.items()} == {"a": 2, "b": 2}


def test_more_work_takes_more_time_and_a_machine_is_measured() -> None:
    a = torch.ones(400, 400)
    with threads(1):
        here = machine()
        one = min(seconds(lambda: a @ a) for _ in range(5))
        many = min(seconds(lambda: [a @ a for _ in range(8)]) for _ in range(5))
    assert many > 2 * one
    assert here.threads == 1
    assert 1e8 < here.gemm < 1e14
    assert 1e8 < here.copy < 1e13
    assert "1 thread," in str(here)


def test_a_bench_is_data_and_files(tmp_path: Path) -> None:
    table = Table(
        ("operator", "kind", "length", "times plain"), (("linear", "self", 64, 0.5), ("linear", "self", 256, 2.0))
    )
    made = Bench("operators", HERE, {"dim": 8}, table, ("a note",))
    text, picture = made.write(tmp_path / "new")
    read = json.loads(text.read_text())
    assert read["machine"]["gemm"] == 1e9
    assert read["table"]["rows"][1][2] == 256
    assert read["notes"] == ["a note"]
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert "a note" in str(made)
    assert "2 rows" in repr(made)
