"""Stored networks: what is kept comes back, photos apart stay apart, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regard.errors import DataError, MethodError
from regard.gaze.architectures import load, stored, train_architecture
from regard.gaze.data import Fixations


def viewers(folder: Path, n: int = 4) -> Fixations:
    """Photos of 40 x 32 pixels with a bright square at which people look."""
    rng = np.random.default_rng(0)
    xy, names = [], []
    for i in range(n):
        photo = rng.integers(60, 90, (32, 40, 3), dtype=np.uint8)
        row, column = rng.integers(4, 28), rng.integers(4, 36)
        photo[row - 3 : row + 3, column - 3 : column + 3] = 250
        Image.fromarray(photo).save(folder / f"{i}.png")
        xy += rng.normal([column, row], 0.8, (6, 2)).tolist()
        names += [f"{i}.png"] * 6
    return Fixations(xy, image=names, size=(32, 40), per_degree=3.0)


@pytest.mark.slow
def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    eyes = viewers(tmp_path)
    made = stored("juntingnet", eyes, tmp_path, tmp_path / "w.safetensors", epochs=2, held=3, seed=1)
    assert (made.learnt, made.held) == (("1.png", "2.png"), ("0.png", "3.png"))
    assert made.losses[1] < made.losses[0]
    assert repr(made).startswith("Stored(juntingnet, 2 photos, NSS ")
    again = load(made.weights)
    assert (again.size, again.losses, again.model.training) == ((96, 96), made.losses, False)

    def photo(name: str) -> torch.Tensor:
        x = torch.from_numpy(np.array(Image.open(tmp_path / name), dtype=np.float32) / 255).permute(2, 0, 1)[None]
        return torch.nn.functional.interpolate(x, (96, 96), mode="bilinear", antialias=True, align_corners=False)

    direct = train_architecture("juntingnet", eyes, {n: photo(n) for n in made.learnt}, epochs=2, seed=1)
    with torch.no_grad():
        x = 2 * photo("0.png") - 1
        assert torch.allclose(direct.model(x), again.model(x), atol=1e-5)


def test_refusals(tmp_path: Path) -> None:
    eyes = viewers(tmp_path)
    with pytest.raises(MethodError, match="no architecture named 'msi'"):
        stored("msi", eyes, tmp_path, tmp_path / "w")
    (tmp_path / "2.png").unlink()
    with pytest.raises(DataError, match=r"1 of 4 photos are missing.*2\.png"):
        stored("juntingnet", eyes, tmp_path, tmp_path / "w")
    with pytest.raises(DataError, match="holds no network of ours"):
        load(tmp_path / "0.png")
