"""Files that are damaged or cut anywhere: a picture in 0..1 or a RegardError, nothing else."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regard.errors import RegardError
from regard.models.picture import read_picture

from .picture_cases import (
    SRGB,
)
from .picture_files import (
    PHOTO,
    SOFT,
    WIDE,
    encoded,
    exif,
    indexed,
    profile,
    psd_of_two_layers,
)


def whole_files() -> Iterator[tuple[str, bytes]]:
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000", "TGA", "PCX"):
        yield kind, encoded(kind, SOFT[8:24, 16:32])
    yield "PNG with profile", encoded("PNG", icc_profile=profile(b"RGB "), exif=exif(6))
    yield "JPEG with EXIF", encoded("JPEG", SOFT[8:24, 16:32], exif=exif(6), icc_profile=SRGB[:200])
    yield "palette", encoded("PNG", indexed(), transparency=bytes([255, 51, 0]))
    yield "16 bits", encoded("TIFF", WIDE)
    yield "frames", encoded("GIF", indexed(), save_all=True, append_images=[Image.new("P", (3, 1), 1)])
    yield "phone", encoded("MPO", save_all=True, append_images=[PHOTO])
    yield "layers", psd_of_two_layers()


@pytest.mark.parametrize(("kind", "content"), list(whole_files()), ids=lambda x: x if isinstance(x, str) else "")
def test_damage_is_read_or_refused(kind: str, content: bytes, tmp_path: Path) -> None:
    """Bytes changed, cut out or cut off at random: a picture in 0..1 or a RegardError, nothing else."""
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    path = tmp_path / "damaged"
    for _ in range(60):
        broken = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            broken[rng.integers(len(broken)) if rng.random() < 0.5 else rng.integers(min(200, len(broken)))] = (
                rng.integers(256)
            )
        if rng.random() < 0.3:
            del broken[rng.integers(len(broken)) :]
        path.write_bytes(broken)
        try:
            picture = read_picture(path, max_pixels=100_000)
        except RegardError:
            continue
        assert 0 <= picture.rgb.min() <= picture.rgb.max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG", "JPEG2000", "TGA", "PCX"])
def test_cut_anywhere_is_right_or_refused(kind: str, tmp_path: Path) -> None:
    """A file cut short never passes for a whole one: half a picture would be explained as if it were all."""
    content = encoded(kind, SOFT, **({"lossless": True} if kind == "WEBP" else {}))
    path = tmp_path / "cut"
    path.write_bytes(content)
    whole = read_picture(path).rgb
    for length in np.linspace(1, len(content) - 1, 60).astype(int):
        path.write_bytes(content[:length])
        try:
            picture = read_picture(path)
        except RegardError:
            continue
        assert np.array_equal(picture.rgb, whole), f"{length} of {len(content)} bytes pass for a whole picture"
