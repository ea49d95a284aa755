"""d-rise works: its similarity is the paper's, and its map shows the object and the context that a detector used."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.subjects.detection import Detection
from regard.testing.marks import works

OBJECT, CUE = (8, 8, 16, 20), (24, 26, 30, 31)  # left, top, right, bottom


def inside(x: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    return x[..., box[1] : box[3], box[0] : box[2]]


class Detector(nn.Module):
    """Sees the object by its brightness; its class is uncertain without the cue, and its box slips without the object.

    A second, dim box lies elsewhere.
    """

    def __init__(self, *, cue: bool = True) -> None:
        super().__init__()
        self.cue = cue

    def forward(self, x: Tensor) -> list[dict[str, Tensor]]:
        found = []
        for one in x:
            there, hint = inside(one, OBJECT).mean(), inside(one, CUE).mean() if self.cue else torch.tensor(1.0)
            slip = 4 * (1 - there).clamp(0, 1)
            boxes = torch.tensor([OBJECT, (0, 20, 10, 30)], dtype=x.dtype)
            boxes[0, 0::2] += slip
            classes = torch.stack([torch.stack([hint, 0.6 * (1 - hint)]), torch.tensor([0.1, 0.9])])
            found.append(
                {"boxes": boxes, "probabilities": classes, "objectness": torch.stack([there, 0.3 + 0 * there])}
            )
        return found


def picture() -> Tensor:
    x = 0.2 * torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    inside(x, OBJECT).fill_(1.0)
    inside(x, CUE).fill_(1.0)
    return x


def explained(model: nn.Module, seed: int) -> Tensor:
    x = picture()
    method = partial(rg.explainers.d_rise, forwards=600, cells=8)
    made = rg.explain(model, x, method=method, target=Detection.of(model(x), 0), seed=seed)
    return torch.from_numpy(made.values)


@works("d-rise")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_map_peaks_in_the_target_and_shows_the_context_cue(seed: int) -> None:
    """Self-similarity is objectness; the peak lies in the box; the cue stands out, and not where it is not used."""
    model, x = Detector(), picture()
    found = model(x)
    assert float(Detection.of(found, 0)(found)) == pytest.approx(float(found[0]["objectness"][0]))
    assert float(Detection.of(found, 1)([{k: v[1:] for k, v in found[0].items()}])) == pytest.approx(0.3)

    made = explained(model, seed)[0]
    assert torch.equal(made, explained(model, seed)[0])
    without = explained(Detector(cue=False), seed)[0]
    row, column = divmod(int(without.argmax()), 32)
    assert OBJECT[1] <= row < OBJECT[3]
    assert OBJECT[0] <= column < OBJECT[2]
    row, column = divmod(int(made[:22].argmax()), 32)  # above the cue
    assert OBJECT[1] <= row < OBJECT[3]
    assert OBJECT[0] <= column < OBJECT[2]
    spread = made[20:, :20].std()  # of a corner that says nothing
    assert inside(made, CUE).mean() > 4 * spread
    assert inside(without, CUE).mean() < 3 * without[20:, :20].std()
