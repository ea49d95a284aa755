from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.errors import LayoutError
from regard.operators.epipolar_line import points_on_lines

GRID = rg.Grid(5, 7)
RECTIFIED = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]], dtype=torch.float64)


def drawn(seed: int, views: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    q = torch.randn(2, 3, GRID.patches, 4, generator=g, dtype=torch.float64)
    k, v = (torch.randn(2, 3, views * GRID.patches, d, generator=g, dtype=torch.float64) for d in (4, 6))
    middle = torch.tensor([GRID.w / 2, GRID.h / 2], dtype=torch.float64)
    f = torch.randn(views, 3, 3, generator=g, dtype=torch.float64)
    f[:, 2] = torch.stack([-(f[i, :2].T @ middle) for i in range(views)])  # all lines pass the middle of the view
    return q, k, v, f


def bilinear(plane: Tensor, x: float, y: float) -> Tensor:
    """A value between the centres of four cells, `[h, w, D]`."""
    x0, y0 = min(int(x - 0.5), GRID.w - 2), min(int(y - 0.5), GRID.h - 2)
    a, b = x - 0.5 - x0, y - 0.5 - y0
    top = (1 - a) * plane[y0, x0] + a * plane[y0, x0 + 1]
    return (1 - b) * top + b * ((1 - a) * plane[y0 + 1, x0] + a * plane[y0 + 1, x0 + 1])


@pytest.mark.parametrize("seed", range(3))
def test_equals_a_loop_over_queries_views_and_points(seed: int) -> None:
    q, k, v, f = drawn(seed)
    got = rg.operators.epipolar_line(q, k, v, f, GRID, samples=5)
    places, seen = points_on_lines(f, GRID, 5)
    for n in range(0, GRID.patches, 3):
        logits, values = [], []
        for view in range(2):
            if not seen[view, n]:
                continue
            for x, y in places[view, n].tolist():
                one = [t[0, 1, view * GRID.patches :][: GRID.patches].view(5, 7, -1) for t in (k, v)]
                logits.append(bilinear(one[0], x, y) @ q[0, 1, n] / 2)
                values.append(bilinear(one[1], x, y))
        wanted = torch.stack(logits).softmax(0) @ torch.stack(values)
        torch.testing.assert_close(got[0, 1, n], wanted)


@pytest.mark.parametrize("seed", range(4))
def test_points_lie_on_their_lines_inside_of_the_view_and_end_at_its_border(seed: int) -> None:
    f = drawn(seed)[3]
    places, seen = points_on_lines(f, GRID, 9)
    y, x = torch.meshgrid(torch.arange(5.0) + 0.5, torch.arange(7.0) + 0.5, indexing="ij")
    cells = torch.stack([x, y, torch.ones_like(x)], -1).view(-1, 3).double()
    lines = torch.einsum("vij,nj->vni", f, cells)
    lifted = torch.cat([places, torch.ones_like(places[..., :1])], -1)
    off = (lifted * lines[:, :, None]).sum(-1) / lines[:, :, None, :2].norm(dim=-1)
    assert seen.all(), "all pass the middle"
    assert off.abs().max() < 1e-9
    for end in (places[:, :, 0], places[:, :, -1]):
        on_border = (end - torch.tensor([0.5, 0.5])).abs().amin(-1) < 1e-9
        on_border |= (end - torch.tensor([6.5, 4.5])).abs().amin(-1) < 1e-9
        assert on_border.all()


def test_rectified_views_are_attention_masked_to_the_row() -> None:
    q, k, v, _ = drawn(0, views=1)
    row = rg.patterns.epipolar(GRID, band=0.4)
    sampled = rg.operators.epipolar_line(q, k, v, RECTIFIED, GRID, samples=GRID.w)
    torch.testing.assert_close(sampled, rg.attend(q, k, v, pattern=row, impl="reference").out)


def test_a_view_that_the_line_misses_has_no_part() -> None:
    q, k, v, _ = drawn(1, views=2)
    missing = RECTIFIED.clone()
    missing[0, 2, 2] = 1e4  # y' = y - 10000
    only = rg.operators.epipolar_line(q, k[:, :, :35], v[:, :, :35], RECTIFIED, GRID)
    both = rg.operators.epipolar_line(q, k, v, torch.cat([RECTIFIED, missing]), GRID)
    torch.testing.assert_close(both, only)
    assert not rg.operators.epipolar_line(q, k[:, :, :35], v[:, :, :35], missing, GRID).any()


def test_gradients() -> None:
    q, k, v, f = drawn(2)
    some = [x[:1, :1, :, :2].clone().requires_grad_() for x in (q, k, v)]
    assert torch.autograd.gradcheck(lambda *x: rg.operators.epipolar_line(*x, f, GRID, samples=3), some, fast_mode=True)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"fundamentals": RECTIFIED[0]}, r"fundamental matrices \[3, 3\]"),
        ({"fundamentals": RECTIFIED * float("nan")}, "fundamental matrices"),
        ({"fundamentals": RECTIFIED}, "for 1 views of 5x7"),
        ({"samples": 0}, "0 points on a line"),
        ({"grid": rg.Grid(5, 6)}, "q has 35 tokens, but grid 5x6 has 30"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], text: str) -> None:
    q, k, v, f = drawn(0)
    given: dict[str, Any] = {"q": q, "k": k, "v": v, "fundamentals": f, "grid": GRID, **change}
    with pytest.raises(LayoutError, match=text):
        rg.operators.epipolar_line(**given)
