from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import regard as rg
from regard.report.explain import seen_by, summary, write

GRID = rg.Grid(2, 3)
HEAT = rg.Map(np.array([[[0.0, -1.0, 0.5], [0.25, 0.0, 0.0]]]), GRID, "m", target="tabby", unit="logit", gap=0.1)


def test_the_photo_is_as_the_model_sees_it() -> None:
    model = rg.model("random:resnet18")
    seen = seen_by("sample:coffee", model, 576)
    np.testing.assert_array_equal(seen.x.numpy(), rg.image("sample:coffee", like=model).numpy())
    assert seen.seen.shape == (224, 224, 3)


def test_the_picture_is_written_with_both_signs_in_it(tmp_path: Path) -> None:
    grey = np.full((40, 60, 3), 128, np.uint8)
    path = write(HEAT, grey, tmp_path / "map.png")
    drawn = np.asarray(Image.open(path).convert("RGB")).astype(int)
    blue, red = ((drawn[..., 2] - drawn[..., 0]).max(), (drawn[..., 0] - drawn[..., 2]).max())
    assert blue > 60
    assert red > 60, "red for, blue against"
    assert list(tmp_path.iterdir()) == [path]


def test_the_summary_has_facts_and_no_values() -> None:
    told = summary(HEAT, None)
    assert (told["lowest"], told["highest"], told["sum"], told["largest at"]) == (-1.0, 0.5, -0.25, [0, 1])
    assert (told["target"], told["gap"], told["picture"]) == ("tabby", 0.1, None)
    assert "values" not in told
