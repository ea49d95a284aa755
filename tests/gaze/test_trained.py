"""Eye data and photos in, weights out: by the verb and by the command; what is missing is told before anything runs."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import regard as rg
from regard.cli import app
from regard.errors import DataError
from regard.gaze.predictors.gaze_dinov2 import gaze_dinov2, patch_features
from regard.gaze.trained import features

PHOTOS = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos with a red disc, at which three people look after the middle."""
    rows, y, x = ["image,observer,x,y,duration_ms"], *np.mgrid[:60, :80]
    rng = np.random.default_rng(0)
    for number in range(PHOTOS):
        at = rng.integers(12, (68, 48), 2)
        picture = rng.integers(90, 130, (60, 80, 3), dtype=np.uint8)
        picture[(x - at[0]) ** 2 + (y - at[1]) ** 2 < 64] = (220, 30, 30)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        for observer in "abc":
            seen = [(40, 30), *rng.normal(at, 2, (3, 2)).tolist()]
            rows += [f"{number}.png,{observer},{a:.1f},{b:.1f},250" for a, b in seen]
    (tmp_path / "eyes.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.mark.slow
def test_the_command_trains_what_the_predictor_takes(folder: Path) -> None:
    weights = folder / "own.safetensors"
    done = CliRunner().invoke(
        app,
        ["gaze", "train", str(folder / "eyes.csv"), str(folder), "--size", "80x60", "--epochs", "2", "--json",
         "--out", str(weights)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["learnt"], told["held"], len(told["bits"])) == (4, ["0.png"], 2)
    x = rg.image(folder / "1.png")
    own = rg.gaze.predict(x, partial(gaze_dinov2, weights=str(weights))).values
    assert own.sum() == pytest.approx(1, abs=1e-4)
    assert np.abs(own - rg.gaze.predict(x, "gaze-dinov2").values).max() > 1e-5


def test_features_are_those_that_the_predictor_reads_and_their_mirror_image(folder: Path) -> None:
    from regard.gaze.predictors.gaze_dinov2 import backbone

    got = features(folder / "0.png", (60, 80), mirrored=True)
    x = rg.image(folder / "0.png")
    with torch.no_grad():
        told = patch_features(x.flip(-1), backbone())
    assert got.shape == (2, 18, 24, 1152)
    torch.testing.assert_close(got[1].float(), told[0], rtol=2e-3, atol=2e-2)  # got in half precision


def test_what_is_missing_is_told_first(folder: Path) -> None:
    seen = rg.gaze.read(folder / "eyes.csv", size=(60, 80))
    with pytest.raises(DataError, match=r"'0\.png' \(5 are missing\)"):
        rg.gaze.train(seen, folder / "nowhere", folder / "w.safetensors")
    with pytest.raises(DataError, match="fixations on 2 photos"):
        rg.gaze.train(seen.on("0.png", "1.png"), folder, folder / "w.safetensors")
    with pytest.raises(DataError, match="80 x 60, the fixations are for 80 x 80"):
        features(folder / "0.png", (80, 80), mirrored=False)
    assert not (folder / "w.safetensors").exists()


def test_names_of_gaze_stay_what_they_are() -> None:
    for name in rg.gaze.__all__:
        assert getattr(rg.gaze, name) is getattr(rg.gaze, name), name  # a module of the same name may hide a function
    assert callable(rg.gaze.optimal)
    assert callable(rg.gaze.train)
