"""The bad input table: what cannot be read rightly is refused with a typed error and a hint."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import regard as rg
from regard.errors import DataError, ImageError, RegardError
from regard.models.picture import read_picture

from .picture_cases import (
    HALF,
)
from .picture_files import (
    BYTES,
    PHOTO,
    SOFT,
    UNIT,
    Build,
    broken_crc,
    encoded,
    fifo,
    file,
    given,
    png,
    saved,
    tiff,
)


@dataclass(frozen=True)
class Refuses:
    """The error, a part of its message, and a part of its hint."""

    build: Build
    error: type[RegardError]
    says: str
    hint: str


AGAIN = "copy or download it again"
KIND_OF_PICTURE = "a path, a PIL image, an array [H, W, 3] or a tensor [3, H, W]"
REFUSED = {
    "truncated JPEG": Refuses(
        file("a.jpg", lambda: encoded("JPEG", SOFT)[:-300]), ImageError, "'a.jpg' is damaged", AGAIN
    ),
    "JPEG cut in its header": Refuses(
        file("a.jpg", lambda: encoded("JPEG", SOFT)[:100]), ImageError, "damaged or cut short", AGAIN
    ),
    "truncated PNG": Refuses(file("a.png", lambda: encoded("PNG")[:80]), ImageError, "damaged or cut short", AGAIN),
    "PNG cut in its header": Refuses(
        file("a.png", lambda: encoded("PNG")[:30]), ImageError, "damaged or cut short", AGAIN
    ),
    "PNG with a wrong checksum": Refuses(file("a.png", broken_crc), ImageError, "'a.png' is damaged", AGAIN),
    "truncated TIFF": Refuses(file("a.tif", lambda: encoded("TIFF")[:60]), ImageError, "damaged or cut short", AGAIN),
    "truncated WebP": Refuses(
        file("a.webp", lambda: encoded("WEBP", lossless=True)[:-60]), ImageError, "damaged or cut short", AGAIN
    ),
    "truncated GIF": Refuses(
        file("a.gif", lambda: encoded("GIF", SOFT)[:-20]), ImageError, "damaged or cut short", AGAIN
    ),
    "truncated BMP": Refuses(file("a.bmp", lambda: encoded("BMP")[:-20]), ImageError, "damaged or cut short", AGAIN),
    "empty file": Refuses(file("a.jpg", b""), ImageError, "is empty (0 bytes)", AGAIN),
    "text named .jpg": Refuses(file("a.jpg", b"not a photo\n"), ImageError, "not a picture that Pillow", "PNG or JPEG"),
    "SVG": Refuses(
        file("a.svg", b'<?xml version="1.0"?>\n<!-- x --><svg xmlns="a"/>'), ImageError, "a drawing (SVG)", "into a PNG"
    ),
    "SVG without a head": Refuses(file("a.svg", b"  <SVG/>"), ImageError, "a drawing (SVG)", "into a PNG"),
    "web page named .jpg": Refuses(file("a.jpg", b"<!DOCTYPE html><html>"), ImageError, "a web page", "browser"),
    "HEIC": Refuses(
        file("a.heic", b"\0\0\0\x18ftypheic" + bytes(99)),
        ImageError,
        "an HEIC photo",
        "pillow_heif.register_heif_opener()",
    ),
    "film": Refuses(file("a.mp4", b"\0\0\0\x18ftypisom" + bytes(99)), ImageError, "a film", "one frame as PNG"),
    "camera's raw file": Refuses(
        file("a.cr2", b"II*\0\x10\0\0\0CR\x02\0" + bytes(99)), ImageError, "a camera's raw file (CR2)", "JPEG"
    ),
    "raw file that begins with its preview": Refuses(
        file("a.nef", tiff(1, 1, (8, 8, 8), 2, b"abc", t254=1)), ImageError, "begins with a small preview", "JPEG"
    ),
    "PDF": Refuses(file("a.pdf", b"%PDF-1.7\n"), ImageError, "a PDF", "save the page as PNG"),
    "saved array": Refuses(file("a.npy", b"\x93NUMPY\x01\0"), ImageError, "a NumPy array", "np.load"),
    "archive": Refuses(file("a.zip", b"PK\x03\x04"), ImageError, "an archive", "unpack"),
    "Git LFS": Refuses(
        file("a.jpg", b"version https://git-lfs.github.com/spec/v1"), ImageError, "Git LFS", "git lfs pull"
    ),
    "EPS": Refuses(saved(PHOTO, "a.eps"), ImageError, "holds EPS, which is no photo", "save it as PNG"),
    "HDF5": Refuses(file("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(99)), ImageError, "holds HDF5, which is no photo", "PNG"),
    "folder": Refuses(lambda folder: folder, ImageError, "is a folder", "*.jpg"),
    "missing": Refuses(lambda folder: folder / "no.jpg", DataError, "no.jpg'", "check the path"),
    "missing folder": Refuses(lambda folder: folder / "no" / "no.jpg", DataError, "no file", "check the path"),
    "no path at all": Refuses(given(""), DataError, "no file ''", "check the path"),
    "bare name of a sample": Refuses(given("coffee"), DataError, "no file 'coffee'", "sample:coffee"),
    "unknown sample": Refuses(given("sample:cofee"), DataError, "no bundled photo 'cofee'", "sample:coffee"),
    "http address": Refuses(given("https://x.org/a.jpg"), DataError, "regard does not download", "save the picture"),
    "file address": Refuses(given("file:///tmp/a.jpg"), DataError, "is an address", "save the picture"),
    "data address": Refuses(
        given("data:image/png;base64," + "A" * 9999), DataError, "is an address", "save the picture"
    ),
    "name too long": Refuses(given("a" * 9999), DataError, "cannot be opened", "check the path"),
    "name with a zero": Refuses(given("a\0b.png"), DataError, "a\0b.png'", "check the path"),
    "home of nobody": Refuses(given("~no such user/a.png"), DataError, "cannot be opened", "check the path"),
    "pipe": Refuses(fifo, ImageError, "no regular file", "as a file first"),
    "bomb": Refuses(
        file("a.png", png(60000, 60000, 8, 2, b"\0")), ImageError, "too large (Image size (3600000000", "shrink"
    ),
    "32-bit integers": Refuses(
        saved(np.array([[0, 70000]], np.int32), "a.tif"),
        ImageError,
        "integers 0..70000, which is no known scale",
        "0..1",
    ),
    "negative integers": Refuses(
        file("a.tif", tiff(2, 1, (16,), 1, struct.pack("<2h", -5, 9), t339=2)), ImageError, "integers -5..9", "0..1"
    ),
    "float TIFF of bytes": Refuses(
        saved(np.array([[0, 254.5]], np.float32), "a.tif"), ImageError, "floats 0..254.5 outside 0..1", "divide by 255"
    ),
    "float TIFF with NaN": Refuses(
        saved(np.array([[0, np.nan]], np.float32), "a.tif"), ImageError, "NaN or infinite", "np.nan_to_num"
    ),
    "PIL image without pixels": Refuses(given(Image.new("RGB", (0, 3))), ImageError, "no pixels (0 x 3)", "1 x 1"),
    "None": Refuses(given(None), ImageError, "from NoneType", KIND_OF_PICTURE),
    "number": Refuses(given(3), ImageError, "from int", KIND_OF_PICTURE),
    "bytes": Refuses(given(b"\x89PNG"), ImageError, "from bytes", "PIL.Image.open(io.BytesIO(data))"),
    "open file": Refuses(given(io.BytesIO(b"\x89PNG")), ImageError, "from BytesIO", "PIL.Image.open(file)"),
    "list of paths": Refuses(given(["a.png", "b.png"]), ImageError, "from list", "one picture at a time"),
    "int64": Refuses(given(BYTES.astype(np.int64)), ImageError, "the array holds int64", "uint8, uint16, or floats"),
    "complex": Refuses(
        given(UNIT.astype(complex)), ImageError, "the array holds complex128", "uint8, uint16, or floats"
    ),
    "objects": Refuses(given(UNIT.astype(object)), ImageError, "the array holds object", "uint8, uint16, or floats"),
    "floats of bytes": Refuses(given(UNIT * 255), ImageError, "outside 0..1", "divide by 255"),
    "floats just above 1": Refuses(given(np.full((2, 2), 1.0004)), ImageError, "1.0004..1.0004 outside", "divide"),
    "floats below 0": Refuses(given(np.array([[-0.5, 0.5]])), ImageError, "floats -0.5..0.5 outside 0..1", "divide"),
    "floats beyond float32": Refuses(given(np.full((2, 2), 1e300)), ImageError, "1e+300 outside 0..1", "divide"),
    "NaN": Refuses(given(np.full((2, 2), np.nan)), ImageError, "NaN or infinite", "np.nan_to_num"),
    "inf": Refuses(given(np.array([[0, np.inf]])), ImageError, "NaN or infinite", "np.nan_to_num"),
    "masked": Refuses(given(np.ma.masked_array(UNIT, UNIT > 0.5)), ImageError, "masked values", "filled"),
    "array [3, H, W]": Refuses(
        given(BYTES.transpose(2, 0, 1)), ImageError, "array of shape [3, 5, 7] is no picture", "transpose(1, 2, 0)"
    ),
    "array [H, W, 2]": Refuses(given(UNIT[..., :2]), ImageError, "shape [5, 7, 2]", "[H, W, 3]"),
    "array of a batch": Refuses(given(UNIT[None]), ImageError, "shape [1, 5, 7, 3]", "[H, W, 3]"),
    "empty array": Refuses(given(np.zeros((0, 4, 3))), ImageError, "no pixels (4 x 0)", "1 x 1"),
    "scalar array": Refuses(given(np.array(0.5)), ImageError, "shape []", "[H, W, 3]"),
    "batch of 2": Refuses(given(torch.zeros(2, 3, 4, 4)), ImageError, "a batch of 2 pictures", "one at a time"),
    "tensor [H, W, 3]": Refuses(given(torch.from_numpy(BYTES)), ImageError, "tensor of shape [5, 7, 3]", "[3, H, W]"),
    "normalised tensor": Refuses(given(HALF * 4 - 2), ImageError, "outside 0..1", "already normalised"),
    "tensor of int64": Refuses(
        given(torch.zeros(3, 4, 4).long()), ImageError, "the tensor holds int64", "floats in 0..1"
    ),
    "empty tensor": Refuses(given(torch.zeros(3, 0, 4)), ImageError, "no pixels (4 x 0)", "1 x 1"),
    "tensor without values": Refuses(
        given(torch.zeros(3, 4, 4, device="meta")), ImageError, "on meta gives no", "dense"
    ),
    "sparse tensor": Refuses(given(torch.zeros(4, 4).to_sparse()), ImageError, "gives no values", "dense"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_what_to_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = REFUSED[name]
    source = case.build(tmp_path)
    monkeypatch.chdir(tmp_path)  # so that a bare name meets nothing by chance
    with pytest.raises(case.error) as caught:
        read_picture(source)
    assert type(caught.value) is case.error
    assert case.says in caught.value.message
    assert "\n" not in caught.value.message
    assert case.hint in caught.value.hint
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "name", ["truncated JPEG", "empty file", "http address", "None", "batch of 2", "int64", "bomb"]
)
def test_image_refuses(name: str, tmp_path: Path) -> None:
    with pytest.raises(REFUSED[name].error) as caught:
        rg.image(REFUSED[name].build(tmp_path))
    assert REFUSED[name].says in caught.value.message
