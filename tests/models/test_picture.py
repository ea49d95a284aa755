"""Every odd picture is read rightly, by value; sizes, traces and the public door."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

import regard as rg
from regard.errors import ImageError
from regard.models.picture import MAX_PIXELS, SAMPLES, Picture, read_picture

from .picture_cases import (
    HALF,
    ODD_FILES,
    READ,
)
from .picture_files import (
    BYTES,
    PHOTO,
    UNIT,
    Build,
    at_frame,
    encoded,
    file,
    given,
    largest,
    png,
    saved,
)


@pytest.mark.parametrize("name", READ)
def test_reads_rightly(name: str, tmp_path: Path) -> None:
    case = READ[name]
    source = case.build(tmp_path)
    picture = read_picture(source)
    assert picture.rgb.dtype == np.float32
    assert picture.rgb.shape == case.rgb.shape
    assert (picture.height, picture.width) == case.rgb.shape[:2]
    assert 0 <= picture.rgb.min() <= picture.rgb.max() <= 1
    assert largest(picture.rgb - case.rgb) * 255 <= case.within
    assert len(picture.notes) == len(case.notes), picture.notes
    for got, wanted in zip(picture.notes, case.notes, strict=True):
        assert got.startswith(wanted)
    if isinstance(source, (str, Path)):
        assert picture.name == Path(source).name


def test_jpeg_of_photoshop_is_not_inverted() -> None:
    """Adobe stores CMYK upside down and says so: what Pillow wrote carries that mark and reads as red."""
    content = encoded("JPEG", Image.new("CMYK", (16, 16), (0, 255, 255, 0)))
    assert b"Adobe" in content[:100]
    assert np.abs(read_picture(Image.open(io.BytesIO(content))).rgb - [1, 0, 0]).max() < 0.01


# ---- size --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [saved(PHOTO, "a.png"), given(PHOTO), given(BYTES), given(HALF)])
def test_limit_of_pixels(build: Build, tmp_path: Path) -> None:
    source = build(tmp_path)
    assert read_picture(source, max_pixels=35).rgb.shape == (5, 7, 3)
    with pytest.raises(ImageError, match=r"too large \(7 x 5; the limit is 34 pixels\)"):
        read_picture(source, max_pixels=34)


@pytest.mark.parametrize("side", [60_000, 13_377])
def test_bomb_is_refused_undecoded(side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """13377 x 13377 is the last square that Pillow opens: no warning gets out, and `max_pixels` judges."""
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    path = file("a.png", png(side, side, 8, 2, b"\0"))(tmp_path)
    with pytest.raises(ImageError, match="too large"):
        read_picture(path, max_pixels=MAX_PIXELS if side == 60_000 else 13_377**2 - 1)


# ---- no trace ----------------------------------------------------------------------------------------


def test_source_is_left_as_it_was() -> None:
    array, tensor = UNIT.copy(), HALF.clone()
    pictures = [read_picture(array), read_picture(tensor)]
    assert np.array_equal(array, UNIT)
    array[:], tensor[:] = 0, 0
    assert all(np.array_equal(p.rgb, UNIT) for p in pictures), "it shares memory with what was given"
    image = at_frame(1)(Path())
    info = dict(image.info)
    read_picture(image)
    assert image.tell() == 1
    assert image.info == info


def test_filters_of_warnings_survive_threads(tmp_path: Path) -> None:
    paths = []
    for i in range(16):
        (tmp_path / f"{i}").mkdir()
        paths.append(ODD_FILES["JPEG with broken EXIF"].build(tmp_path / f"{i}"))
    before, show = list(warnings.filters), warnings.showwarning
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(read_picture, paths))
    assert warnings.filters == before
    assert warnings.showwarning is show
    assert all(len(p.notes) == 1 for p in pictures), "a warning went to another picture"


# ---- the public door ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["PNG", "orientation 6 JPEG", "RGBA PNG", "16-bit grey PNG", "profile in RGB", "mirrored view", "tensor, half"],
)
def test_image_reads(name: str, tmp_path: Path) -> None:
    x = rg.image(READ[name].build(tmp_path))
    assert x.dtype == torch.float32
    assert x.is_contiguous()
    assert tuple(x.shape) == (1, 3, *READ[name].rgb.shape[:2])
    assert largest(x[0].permute(1, 2, 0).numpy() - READ[name].rgb) * 255 <= READ[name].within


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str) -> None:
    picture = read_picture(f"sample:{name}")
    assert (picture.name, picture.notes) == (name, ())
    assert min(picture.rgb.shape[:2]) >= 300


def test_to_pil_is_the_inverse() -> None:
    assert np.array_equal(np.asarray(read_picture(PHOTO).to_pil()), BYTES)
    assert np.array_equal(np.asarray(Picture(np.float32([[[0.0, 0.5, 1.0]]]), "p").to_pil()), [[[0, 128, 255]]])
