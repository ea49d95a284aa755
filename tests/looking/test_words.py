"""Sentences are read off the tables: planted maps and changed tables must change what is said."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from regard.layout import Grid
from regard.looking import words
from regard.looking.attention import Attention, see
from regard.looking.controls import Controls
from regard.results import Map, Table

from .vits import vit, without_prefix

GRID = Grid(6, 9)
NINTHS = {
    (0, 0): "the top left", (0, 1): "the top centre", (0, 2): "the top right",
    (1, 0): "the left", (1, 1): "the centre", (1, 2): "the right",
    (2, 0): "the bottom left", (2, 1): "the bottom centre", (2, 2): "the bottom right",
}  # fmt: skip


@pytest.fixture(scope="module")
def seen() -> Attention:
    found, _ = see(vit(), torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert found is not None
    return found


def table(values: np.ndarray, unit: str) -> Table:
    heads = tuple(f"head {h}" for h in range(values.shape[1]))
    rows = tuple((f"layer {i}", *map(float, row)) for i, row in enumerate(values))
    return Table(columns=("site", *heads), rows=rows, units=dict.fromkeys(heads, unit))


def with_tables(seen: Attention, **changed: list[list[float]]) -> Attention:
    return replace(seen, tables=seen.tables | {n: table(np.array(v), "") for n, v in changed.items()})


def spot(row: int, column: int, h: int = 6, w: int = 9) -> np.ndarray:
    values = np.full((h, w), 0.001)
    values[row, column] = 1.0
    return values


@pytest.mark.parametrize("ninth", NINTHS)
def test_where_names_the_ninth(ninth: tuple[int, int]) -> None:
    for dy in (0, 1):
        for dx in (0, 1, 2):
            assert words.where(spot(ninth[0] * 2 + dy, ninth[1] * 3 + dx), GRID) == NINTHS[ninth]
    assert words.where(-spot(ninth[0] * 2, ninth[1] * 3), GRID) == NINTHS[ninth], "mass counts, not sign"


@pytest.mark.parametrize(("h", "w"), [(7, 7), (14, 16), (20, 30), (2, 1)])
def test_ninths_have_equal_shares_of_a_flat_map(h: int, w: int) -> None:
    found = words.ninths(np.ones((h, w)), Grid(h, w))
    np.testing.assert_allclose(found, np.full((3, 3), 1 / 9))


def test_a_cell_across_a_border_counts_in_parts() -> None:
    values = np.zeros((3, 4))
    values[0, 1] = 2.0  # from 1/4 to 2/4: a third of it left of 1/3
    np.testing.assert_allclose(words.ninths(values, Grid(3, 4)), [[1 / 3, 2 / 3, 0], [0, 0, 0], [0, 0, 0]], atol=1e-12)


def test_where_weighs_many_against_one() -> None:
    values = spot(0, 0)
    values[4:, 6:] = 0.5  # six halves outweigh a one
    assert words.where(values, GRID) == "the bottom right"


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_concentration_is_the_fewest_cells_that_hold_the_share(share: float) -> None:
    values = np.random.default_rng(0).exponential(size=(6, 9)) * np.where(np.arange(9) % 2, 1, -1)
    ordered = sorted(np.abs(values).ravel(), reverse=True)
    fewest = next(n for n in range(1, 55) if sum(ordered[:n]) >= share * sum(ordered))
    assert words.concentration(values, share) == pytest.approx(fewest / 54)


def test_concentration_of_one_cell_and_of_all_alike() -> None:
    assert words.concentration(np.eye(1, 54).reshape(6, 9)) == pytest.approx(1 / 54)
    assert words.concentration(np.ones((6, 9))) == pytest.approx(0.5, abs=1 / 54)


def test_extremes_are_the_ends_of_the_tables(seen: Attention) -> None:
    changed = with_tables(
        seen,
        distance=[[3.0, 1.0], [2.0, 9.0], [4.0, 5.0]],
        entropy=[[3.0, 1.0], [0.5, 9.0], [4.0, float("nan")]],
        sink_mass=[[0.0, 0.1], [0.2, 0.3], [0.9, 0.4]],
    )
    assert words.extremes(changed) == {"local": (0, 1), "global": (1, 1), "sharp": (1, 0), "sink": (2, 0)}


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)]


def test_sentences_hold_the_numbers_of_the_tables(seen: Attention) -> None:
    found = {name: t.numbers() for name, t in seen.tables.items()}
    local, wide, sharp, sink = words.about_heads(seen)
    at = np.unravel_index(found["distance"].argmin(), found["distance"].shape)
    uniform = np.mean([np.hypot(a - c, b - d) for a, b, c, d in np.ndindex(8, 8, 8, 8)])
    assert numbers(local) == [at[0], at[1], round(found["distance"].min(), 1), round(uniform, 1)]
    at = np.unravel_index(found["distance"].argmax(), found["distance"].shape)
    assert numbers(wide) == [at[0], at[1], round(found["distance"].max(), 1)]
    at = np.unravel_index(found["entropy"].argmin(), found["entropy"].shape)
    bits = found["entropy"].min()
    assert numbers(sharp) == [at[0], at[1], round(bits, 1), round(np.log2(65), 1), round(2**bits)]
    at = np.unravel_index(found["sink_mass"].argmax(), found["sink_mass"].shape)
    assert found["sink_mass"].max() > 0
    assert numbers(sink) == [at[0], at[1], round(100 * found["sink_mass"].max()), 10]


@pytest.mark.parametrize(
    ("name", "sentence", "told"),
    [
        ("distance", 0, "The most local is {}: its patches look 0.0 patches away"),
        ("entropy", 2, "The sharpest is {}: 0.0 of at most 6.0 bits, as if it chose among 1 tokens."),
    ],
)
def test_a_changed_table_changes_its_sentence_only(seen: Attention, name: str, sentence: int, told: str) -> None:
    values = seen.tables[name].numbers()
    middle = tuple(int(i[0]) for i in np.where(values == np.sort(values, axis=None)[2]))  # neither end of the table
    values[middle] = 0.001
    before, after = words.about_heads(seen), words.about_heads(with_tables(seen, **{name: values.tolist()}))
    assert after[sentence].startswith(told.format(words.head(middle)))
    assert [i for i in range(4) if before[i] != after[i]] == [sentence]


def test_no_sinks_is_said_as_such(seen: Attention) -> None:
    none = with_tables(seen, sink_mass=[[0.0, 0.0]] * 3)
    assert words.about_heads(none)[3].startswith("No head parks attention on sinks")


def test_the_lead_tells_where_and_how_concentrated(seen: Attention) -> None:
    rows = np.zeros_like(seen.rows)
    rows[-1, :, seen.grid.prefix + 8 * 7 + 7] = 0.6  # lower right corner holds six tenths
    rows[-1, :, 0] = 0.2
    rows[-1, :, seen.grid.prefix] = 0.2
    assert words.lead(replace(seen, rows=rows)) == (
        "The CLS token's attention in the last layer gathers around the bottom right: half of what falls on the "
        "picture lies on 2 % of it."
    )
    found, _ = see(without_prefix(), torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert found is not None
    assert words.lead(found).startswith("Attention in the last layer gathers around ")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.kron(np.ones((3, 3)), np.pad([[1.0]], 1)), "falls on spots in several places"),
        (np.ones((9, 9)), "spreads over the picture"),
        (np.pad(np.ones((1, 3)), ((0, 8), (6, 0))), "gathers around the top right"),
    ],
)
def test_a_lead_does_not_claim_a_place_for_what_is_spread(values: np.ndarray, said: str) -> None:
    found, _ = see(vit(), torch.zeros(1, 3, 32, 32))
    assert found is not None
    rows = np.concatenate([[0.0], values.ravel() / values.sum()])
    shown = replace(found, grid=Grid(9, 9, prefix=1), rows=np.tile(rows, (*found.rows.shape[:2], 1)))
    assert f"in the last layer {said}:" in words.lead(shown)


def test_an_explanation_is_where_its_positive_values_are() -> None:
    values = np.zeros((1, 6, 9))
    values[0, 0, 0], values[0, 5, 8] = -9.0, 1.0
    heat = Map(values, GRID, "gradcam", target="cup")
    assert words.about_explanation(heat) == "Grad-CAM for cup is strongest at the bottom right."
    values[0, :, :3] = np.maximum(values[0, :, :3], 0.4)  # much, but weak
    assert words.about_explanation(heat) == "Grad-CAM for cup is strongest at the bottom right."
    against = replace(heat, values=-np.abs(values))
    assert words.about_explanation(against) == "Grad-CAM finds nothing that speaks for cup."


@pytest.mark.parametrize(
    ("mirror", "shuffled", "centre", "levels"),
    [
        (0.8, 0.3, 0.5, ("good", "good", "good")),
        (0.79, -0.31, 0.51, ("note", "note", "note")),
        (0.5, 0.6, 0.7, ("note", "note", "note")),
        (0.49, -0.61, 0.71, ("warn", "warn", "warn")),
        (-1.0, 1.0, -1.0, ("warn", "warn", "good")),
    ],
)
def test_levels_of_the_controls(mirror: float, shuffled: float, centre: float, levels: tuple[str, ...]) -> None:
    lines = words.about_controls(Controls(mirror, shuffled, centre), "It")
    assert tuple(line.level for line in lines) == levels
    assert [line.what for line in lines] == ["mirror", "shuffled weights", "centre"]
    assert f"correlation {mirror:.2f} (" in lines[0].text
    assert f"correlates {shuffled:+.2f} with" in lines[1].text
    assert f"correlates {centre:+.2f} with" in lines[2].text
    assert ("unstable" in lines[0].text) == (levels[0] == "warn")
    assert ("what was learnt" in lines[1].text) == (levels[1] == "good")
    assert ("photographers" in lines[2].text) == (levels[2] != "good")


def test_a_control_that_cannot_be_compared_is_no_good_news() -> None:
    lines = words.about_controls(Controls(None, None, None), "It")
    assert [(line.level, line.what) for line in lines] == [
        ("note", "mirror"), ("note", "shuffled weights"), ("note", "centre"),
    ]  # fmt: skip
    assert all("It cannot be compared" in line.text for line in lines)


@pytest.mark.parametrize(
    ("inside", "outside", "level", "said"),
    [
        (0.5, 0.25, "good", "agree."),
        (0.5, 0.3, "note", "weakly"),
        (0.5, 0.4, "note", "weakly"),
        (0.5, 0.41, "warn", "background"),
        (0.1, 0.9, "warn", "background"),
        (0.0, 0.0, "warn", "background"),
        (0.3, 0.0, "good", "agree."),
    ],
)
def test_an_object_is_held_against_importance(inside: float, outside: float, level: str, said: str) -> None:
    line = words.about_object((inside, outside))
    assert (line.level, line.what) == (level, "object")
    assert f"{inside:.2f} inside the object and {outside:.2f} outside" in line.text
    assert said in line.text
