from __future__ import annotations

import io
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.interpolate import griddata
from torch import nn

import regard as rg
from regard.errors import DegenerateError, LayoutError, MethodError
from regard.metrics.pic import THRESHOLDS, _check, curve_of, filled, highest, seed_pixels, size_of

SIDE = 32


class Spot(nn.Module):
    """Class 1 by the contrast of one square: what an in-fill cannot make up."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        s = 12 * (x[:, :, 8:16, 16:24].std((1, 2, 3)) - 0.15)
        return torch.stack([-s, s], 1)


def picture(seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    x = torch.full((1, 3, SIDE, SIDE), 0.5, dtype=torch.float64) + 0.02 * torch.rand(1, 3, SIDE, SIDE, generator=g)
    x[:, :, 8:16, 16:24] = torch.rand(1, 3, 8, 8, generator=g, dtype=torch.float64).round()
    return x


def heat(inverted: bool = False) -> rg.Map:
    values = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    values[0, 2:4, 4:6] += -2 if inverted else 2
    return rg.Map(values.numpy(), rg.Grid(8, 8), "given", target_index=(1,))


@pytest.mark.parametrize("infill", ["fast", "linear"])
@pytest.mark.parametrize("kind", ["softmax", "accuracy"])
def test_the_evidence_beats_its_inverse(kind: str, infill: str) -> None:
    how = partial(rg.metrics.pic, kind=kind, infill=infill, random=2)  # type: ignore[arg-type]
    good, bad = (rg.score(heat(inverted), Spot(), picture(), metric=how) for inverted in (False, True))
    assert good.value > bad.value + 0.2
    assert good.curve.shape == (2, 1001)
    assert tuple(good.curve[:, -1]) == (1, 1)
    assert (good.n, good.direction) == (2, "higher")


def test_a_triangulation_of_all_channels_is_griddatas_of_each() -> None:
    x = picture(1)
    keep = seed_pixels(x, 0.05, torch.Generator().manual_seed(0))
    got = filled(x, keep[None], "linear")[0].numpy()
    for channel in range(3):
        there, wanted = np.argwhere(keep.numpy()), np.argwhere(~keep.numpy())
        slow = griddata(there, x[0, channel].numpy()[keep.numpy()], wanted, method="linear")
        np.testing.assert_allclose(got[channel][~keep.numpy()], slow, atol=1e-12)
        assert (got[channel][keep.numpy()] == x[0, channel].numpy()[keep.numpy()]).all()


def test_pixels_at_the_quantile_are_kept_and_curves_go_by_size() -> None:
    one = torch.arange(16, dtype=torch.float64).view(4, 4)
    x = torch.zeros(1, 3, 8, 8)
    kept = highest(one, 0.25, x)
    full = one.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(kept, full >= np.quantile(full, 0.75))
    y = curve_of(torch.tensor([0.5, 0.2]).double(), torch.tensor([0.1, 0.8]).double())
    assert y[[0, 100, 200, 350, 500, 750, 1000]].tolist() == pytest.approx([0, 0.4, 0.8, 0.45, 0.1, 0.55, 1])


def test_sizes_are_those_of_lossless_webp() -> None:
    pixels = torch.randint(256, (9, 7, 3), generator=torch.Generator().manual_seed(0)).byte()
    out = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(out, "webp", lossless=True, quality=100)
    assert size_of(pixels) == len(out.getvalue())


def test_refusals() -> None:
    score = partial(rg.score, heat(), Spot())
    with pytest.raises(MethodError, match="no choice named 'cubic'"):
        _check("softmax", "cubic", THRESHOLDS, 0.01)
    with pytest.raises(LayoutError, match="thresholds"):
        score(picture(), metric=partial(rg.metrics.pic, thresholds=(0.5, 1.0)))
    with pytest.raises(DegenerateError, match=r"the seeds alone score 0\.\d+ of 0\.\d+ in"):
        score(torch.full((1, 3, SIDE, SIDE), 0.5).double(), metric="pic")
    with pytest.raises(DegenerateError, match=r"^p 1\.000; the seeds"):
        score(picture(), metric=partial(rg.metrics.pic, least=1.0))


@pytest.mark.peers
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_authors_package_gives_the_same_area(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same map, seed pixels, in-fill and codec: to 0.003; where an interpolated value is a half to rounding, which
    happens in up to 3 of 3072, the two round to either side and files differ by some bytes."""
    theirs = pytest.importorskip("saliency.metrics.pic")
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)  # their name for it went with NumPy 2
    x = (picture(seed) * 255).round()
    x[..., 0, 0], x[..., 0, 1] = 0.0, 255.0  # so that our eight bits are theirs
    g = torch.Generator().manual_seed(0)
    known = seed_pixels(x, 0.01, g)

    class Bytes(Spot):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x / 255)

    def predict(batch: np.ndarray) -> np.ndarray:
        return Bytes()(torch.from_numpy(batch).permute(0, 3, 1, 2).double()).softmax(1)[:, 1].numpy()

    made = heat()
    image = x[0].permute(1, 2, 0).numpy().astype(np.uint8)
    large = np.kron(made.values[0], np.ones((4, 4)))
    there = theirs.compute_pic_metric(image, large, known.numpy(), predict, THRESHOLDS, 0)
    got = rg.score(made, Bytes(), x, metric=partial(rg.metrics.pic, infill="linear", random=0))
    assert got.value == pytest.approx(there.auc, abs=3e-3)
