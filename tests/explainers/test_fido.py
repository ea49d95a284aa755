from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from regard.errors import DegenerateError, LayoutError

from .models import explained, values
from .test_meaningful_perturbation import INSIDE, Blobs, X


@pytest.mark.parametrize("game", ["drop", "keep"])
def test_both_games_find_the_blob_that_speaks_for_the_class(game: str) -> None:
    made = values(explained(Blobs(), X, "fido", game=game, side=24, steps=150, samples=2, infill="black"))[0]
    found = made > 0.5
    assert float((found & INSIDE).sum() / (found | INSIDE).sum()) > 0.8
    assert 0 <= made.min() <= made.max() <= 1


def test_one_step_is_adam_on_the_objective_written_out() -> None:
    """The first step of Adam is its rate times the sign of the slope, here by autograd on the plain formula."""
    start, draws = 2.0, torch.Generator().manual_seed(0)
    logit = torch.full((24, 24), start, dtype=torch.float64, requires_grad=True)
    total = torch.zeros((), dtype=torch.float64)
    black, whole = 0.0, float(Blobs()(X)[0, 1])
    drawn = torch.rand((3, 1, 24, 24), generator=draws, dtype=torch.float64)
    for one in drawn[:, 0]:
        z = torch.sigmoid((logit + torch.log(one / (1 - one))) / 0.1)
        total = total + (Blobs()(X * z)[0, 1] - black) / (whole - black) / 3
    (total + 0.5 * (1 - logit.sigmoid()).mean()).backward()
    assert logit.grad is not None
    wanted = 1 - torch.sigmoid(start - 0.05 * logit.grad.sign() * (logit.grad.abs() / (logit.grad.abs() + 1e-8)))
    made = values(explained(Blobs(), X, "fido", side=24, steps=1, samples=3, infill="black"))[0]
    torch.testing.assert_close(made, wanted.detach())


def test_the_infill_sees_what_stays_and_passes_no_gradient_on() -> None:
    seen = []

    def fill(pictures: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        seen.append(float(kept.double().mean()))
        return torch.zeros_like(pictures)

    made = explained(Blobs(), X, "fido", side=24, steps=2, samples=4, infill=fill)
    black = explained(Blobs(), X, "fido", side=24, steps=2, samples=4, infill="black")
    torch.testing.assert_close(values(made), values(black))
    assert seen[0] == 0  # all gone: where the score's scale begins
    assert seen[1] == pytest.approx(float(F.sigmoid(torch.tensor(2.0))), abs=0.02)  # E z = p


def test_refusals() -> None:
    with pytest.raises(DegenerateError, match="without evidence scores"):
        explained(Blobs(), X, "fido", target=0, side=12, infill="black")
    with pytest.raises(LayoutError, match="0 samples a step"):
        explained(Blobs(), X, "fido", samples=0)
    with pytest.raises(LayoutError, match="area = -1"):
        explained(Blobs(), X, "fido", area=-1.0)
