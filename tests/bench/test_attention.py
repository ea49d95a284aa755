"""Texts become the patterns they name; every way gets a row; what a plan says stands beside what was measured."""

import pytest
import torch

import regard as rg
from regard.bench.attention import COLUMNS, Shape, attention, read
from regard.errors import CallError, LayoutError, MethodError


def column(made: rg.bench.Bench, name: str) -> list[object]:
    return made.table.column(name)


def test_a_text_is_the_pattern_that_it_names() -> None:
    assert read("neighborhood(3, dilation=2)", "8x9") == rg.patterns.neighborhood((8, 9), 3, dilation=2)
    assert read("window((2, 4))", "4x8") == rg.patterns.window((4, 8), (2, 4))
    assert read("causal", "16") == rg.patterns.causal(16)


@pytest.mark.parametrize(
    ("text", "size", "said"),
    [
        ("window(4", "8x8", "no pattern"),
        ("window(open('x'))", "8x8", "no pattern"),
        ("a.b(3)", "8x8", "no pattern"),
        ("window(4)", "8xq", "no pattern"),
        ("window(4, colour=3)", "8x8", "colour"),
        ("window(9)", "8x8", "9"),
    ],
)
def test_bad_texts_are_refused_and_nothing_is_evaluated(text: str, size: str, said: str) -> None:
    with pytest.raises(LayoutError, match=said):
        read(text, size)


def test_an_unknown_pattern_is_told_with_its_neighbours() -> None:
    with pytest.raises(MethodError, match="neighborhood"):
        read("neighbourhood(3)", "8x8")


def test_every_way_has_a_row_and_the_plan_stands_beside() -> None:
    made = attention(
        ["window(4)"], sizes=["8x8", "8x16"], impls=["tiled", "composite", "dense"], shape=Shape(1, 2, 8),
        backward=True, rounds=2,
    )  # fmt: skip
    assert column(made, "impl") == ["dense", "tiled", "composite", "dense (ours)"] * 4
    assert column(made, "pass") == (["forward"] * 4 + ["both"] * 4) * 2
    for row in made.table.rows:
        told = dict(zip(COLUMNS, row, strict=True))
        assert 0 < told["low"] <= told["ms"] <= told["high"]
        assert told["times dense"] == 1 or told["impl"] != "dense"
        assert told["refused"] is None
    plan = rg.patterns.window((8, 16), 4).plan(dim=8, heads=2)
    assert column(made, "bound")[-1] == round(plan.bound, 2)
    assert column(made, "pairs bound")[-1] == 8  # 128 keys, of which each query sees 16


def test_the_row_of_auto_tells_what_it_took_and_why() -> None:
    made = attention(["window(4)", "random(3)"], sizes=["32x32"], impls=["auto", "tiled"], rounds=1)
    took = dict(zip(zip(column(made, "pattern"), column(made, "impl"), strict=True), column(made, "took"), strict=True))
    tiled, listed = (pattern for pattern in dict.fromkeys(column(made, "pattern")))
    q = torch.zeros(1, 3, 1024, 32)
    chosen = rg.attend(q, q, q, pattern=rg.patterns.window((32, 32), 4))
    assert took[tiled, "auto"] == chosen.impl == "tiled"
    assert (took[tiled, "tiled"], took[tiled, "dense"], took[listed, "auto"]) == ("tiled", None, "dense")
    assert f"{tiled}, auto, forward: took tiled, for {chosen.why}" in made.notes
    assert f"{listed}, auto, forward: took dense, for no intervals" in made.notes


def test_a_share_of_the_floor_is_the_plans_time_over_the_measured() -> None:
    made = attention(["window(4)"], sizes=["8x8"], impls=["tiled"], shape=Shape(1, 2, 8), rounds=2)
    plan = rg.patterns.window((8, 8), 4).plan(dim=8, heads=2)
    for row in made.table.rows:
        told = dict(zip(COLUMNS, row, strict=True))
        assert told["share of floor"] == pytest.approx(1e3 * made.machine.floor(plan.flops, plan.bytes) / told["ms"])


def test_a_refusal_is_a_row_and_a_note() -> None:
    listed = rg.patterns.random((8, 8), 4)  # no intervals, so no tiles
    made = attention([listed], impls=["tiled", "dense"], rounds=1)
    refused = [row for row in made.table.rows if row[-1]]
    assert [row[1] for row in refused] == ["tiled"]
    assert "no intervals" in made.notes[0]
    assert refused[0][3] is None


def test_without_memory_for_a_mask_there_is_no_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys.modules["regard.bench.attention"], "MASK", 1000)
    made = attention(["window(4)"], sizes=["8x8"], impls=["tiled"], rounds=1)
    assert column(made, "times dense") == [None, None]
    assert [row[1] for row in made.table.rows if row[-1]] == ["dense"]


def test_no_rounds_are_refused() -> None:
    with pytest.raises(LayoutError, match="0 rounds"):
        attention(rounds=0)


def test_a_device_that_is_not_there() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(CallError, match="no device cuda"):
            attention(["window(4)"], sizes=["8x8"], device="cuda")
