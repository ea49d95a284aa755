"""The readout on DINOv2: its parts put together by hand, densities, slices, and other weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

import regard as rg
from regard.errors import DataError
from regard.gaze.predictors.gaze_dinov2 import WEIGHTS, backbone, gaze_dinov2, patch_features, readout
from regard.gaze.training import load


def photo(name: str = "coffee") -> torch.Tensor:
    return rg.image(f"sample:{name}")


def test_patches_keep_the_photos_shape_and_features_are_the_blocks() -> None:
    x = photo()[:, :, :, :500]
    with torch.no_grad():
        got = patch_features(x, backbone())
        small = torch.nn.functional.interpolate(x, (14 * 19, 14 * 23), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        tokens = backbone()._pos_embed(backbone().patch_embed((small - mean) / std))
        told = []
        for number, block in enumerate(backbone().blocks):
            tokens = block(tokens)
            told += [tokens[:, 1:]] if number in (5, 8, 11) else []
    assert got.shape == (1, 19, 23, 1152)  # 19 x 23 = 437 patches on a photo of 400 x 500
    torch.testing.assert_close(got.flatten(1, 2), torch.cat(told, -1), rtol=1e-4, atol=1e-4)


def test_a_density_at_the_photos_size_up_to_800() -> None:
    heat = rg.gaze.predict(photo(), "gaze-dinov2")
    assert heat.values.shape == (1, 400, 600)
    assert heat.values.sum() == pytest.approx(1, abs=1e-4)
    assert heat.unit == "density"
    wide = torch.nn.functional.interpolate(photo(), (500, 1000))
    assert gaze_dinov2(wide).values.shape == (1, 400, 800)


def test_people_look_at_the_cup_and_early_at_the_middle() -> None:
    heat = gaze_dinov2(photo()).values[0]
    y, x = divmod(int(heat.argmax()), 600)
    assert 80 < y < 320
    assert 150 < x < 450
    early, late = (gaze_dinov2(photo(), when=when).values[0] for when in ("early", "late"))
    spread = [float(-(p * p.clamp_min(1e-12).log2()).sum()) for p in (early, late)]
    assert spread[0] < spread[1]  # early fixations lie closer together


def test_float64_and_batches_say_the_same() -> None:
    x = photo()[:, :, :300, :300]
    two = torch.cat([x, x.flip(-1)])
    alone, together = gaze_dinov2(x.double()).values, gaze_dinov2(two).values
    torch.testing.assert_close(alone[0].double(), together[0].double(), rtol=1e-3, atol=1e-9)


def test_own_weights_are_taken_and_what_is_no_readout_is_refused(tmp_path: Path) -> None:
    x = photo()[:, :, ::4, ::4]
    again = rg.gaze.predict(x, partial(gaze_dinov2, weights=str(WEIGHTS)))
    assert (again.values == rg.gaze.predict(x, "gaze_dinov2").values).all()
    (tmp_path / "bad.safetensors").write_text("no")
    with pytest.raises(DataError, match="no readout"):
        gaze_dinov2(x, weights=str(tmp_path / "bad.safetensors"))


def test_the_shipped_file_is_small_and_says_what_was_kept_apart() -> None:
    from safetensors import safe_open

    assert WEIGHTS.stat().st_size < 300_000
    with safe_open(WEIGHTS, "pt") as file:
        facts = file.metadata()
    assert facts["photos"] == "240"
    assert len(facts["held"].split()) == 60
    assert sum(p.numel() for p in load(WEIGHTS).parameters()) < 40_000
    assert not any(p.requires_grad for p in readout().parameters())
