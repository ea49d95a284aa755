from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.stimuli import kanizsa


@pytest.mark.parametrize("corners", [3, 4, 5])
def test_the_figure_is_not_drawn_and_the_control_has_as_much_ink(corners: int) -> None:
    made, broken = (kanizsa(corners=corners, broken=b, seed=corners) for b in (False, True))
    assert (made.picture[:, made.target] > 0.27).all()  # grey, but for the discs' soft edges
    assert not broken.target.any()
    ink = [float((0.5 - one.picture).sum()) for one in (made, broken)]
    assert ink[0] == pytest.approx(ink[1], rel=0.02)
    side = 2 * 0.55 * torch.sin(torch.tensor(torch.pi / corners)) * 120
    area = corners * side**2 / (4 * torch.tan(torch.tensor(torch.pi / corners)))
    assert float(made.target.sum()) == pytest.approx(float(area), rel=0.03)  # cut corners are the figure's own


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="2 corners"):
        kanizsa(corners=2)
