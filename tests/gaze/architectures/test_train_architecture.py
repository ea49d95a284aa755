"""Training: the loss falls, a planted dot is found, calls repeat, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from regard.errors import DegenerateError, LayoutError, MethodError
from regard.gaze.architectures import MSINet, train_architecture
from regard.gaze.architectures.train_architecture import ARCHITECTURES
from regard.gaze.data import Fixations

from .tools import dots, seeded


def viewers(n: int = 4) -> tuple[Fixations, dict[str, torch.Tensor]]:
    """People look at the bright square; photos in 0..1."""
    x, at = dots((24, 32), n=n)
    x = (0.4 + 0.2 * x).clamp(0, 1)
    rng = np.random.default_rng(0)
    xy = np.concatenate([np.array([[c + 0.5, r + 0.5]]) + rng.normal(0, 1, (12, 2)) for r, c in at.tolist()])
    names = np.repeat([f"p{i}" for i in range(n)], 12)
    return Fixations(xy, image=names, size=(24, 32), per_degree=2.0), {f"p{i}": x[i] for i in range(n)}


def test_the_loss_falls_and_calls_repeat() -> None:
    eyes, photos = viewers()

    def run() -> tuple[float, ...]:
        net = seeded(lambda: MSINet(scale=0.1))
        told = train_architecture(net, eyes, photos, epochs=18, batch=2, rate=3e-3, size=(24, 32))
        assert not told.model.training
        with torch.no_grad():
            peak = told.model(2 * photos["p1"][None] - 1)[0].flatten().argmax()
        seen = eyes.on("p1").xy.mean(0)
        assert abs(int(peak) // 32 + 0.5 - seen[1]) < 5
        assert abs(int(peak) % 32 + 0.5 - seen[0]) < 5
        return told.losses

    losses = run()
    assert losses[-1] < 0.5 * losses[0]
    assert losses == run()


@pytest.mark.slow
def test_every_named_architecture_takes_its_size() -> None:
    with torch.device("meta"):
        for make, size, _, _ in ARCHITECTURES.values():
            assert make().eval()(torch.empty(1, 3, *size)).ndim == 3


def test_refusals() -> None:
    eyes, photos = viewers(1)
    with pytest.raises(MethodError, match="msi-nett"):
        train_architecture("msi-nett", eyes, photos)
    with pytest.raises(DegenerateError, match="no photo"):
        train_architecture("msi-net", eyes, {"other": photos["p0"]})
    with pytest.raises(LayoutError, match="size"):
        train_architecture(nn.Identity(), eyes, photos)
    with pytest.raises(MethodError, match="l3"):
        train_architecture("msi-net", eyes, photos, loss="l3")
    with pytest.raises(LayoutError, match="'p0'"):
        train_architecture("juntingnet", eyes, {"p0": photos["p0"][:2]})
