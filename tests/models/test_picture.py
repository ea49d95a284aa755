"""The bad input table: every odd picture is read rightly, by value, or refused with a typed error and a hint."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile

import regard as rg
from regard.errors import DataError, ImageError, RegardError
from regard.models.picture import MAX_PIXELS, SAMPLES, Picture, read_picture

Array = NDArray[Any]
Build = Callable[[Path], Any]  # given an empty folder, what to hand to read_picture

BYTES = np.random.default_rng(7).integers(0, 256, (5, 7, 3)).astype(np.uint8)
UNIT = BYTES.astype(np.float32) / 255
GREY, GREY_UNIT = BYTES[..., 0], np.repeat(UNIT[..., :1], 3, axis=2)
WIDE = np.random.default_rng(8).integers(0, 65536, (5, 7)).astype(np.uint16)
WIDE_UNIT = np.repeat((WIDE / 65535.0)[..., None], 3, axis=2)
ALPHA = np.linspace(0, 255, 35).reshape(5, 7).astype(np.uint8)
OVER_WHITE = UNIT * (ALPHA[..., None] / 255) + (1 - ALPHA[..., None] / 255)
PHOTO = Image.fromarray(BYTES)
SOFT = np.kron(np.array([[[200, 40, 40], [40, 200, 40]], [[40, 40, 200], [200, 200, 40]]]), np.ones((16, 24, 1)))
SOFT = SOFT.astype(np.uint8)  # flat blocks of whole JPEG cells: [32, 48, 3]
FINE: dict[str, Any] = {"quality": 95, "subsampling": 0}

WHITE = "transparency laid over white"
TURNED = "turned upright by its EXIF orientation"
PLAIN_CMYK = "converted from CMYK by the plain formula, without a colour profile"
LEVEL = "16-bit grey, scaled by 65535"


# ---- how the pictures are made -----------------------------------------------------------------------


def file(name: str, content: bytes | Callable[[], bytes]) -> Build:
    """A file of these bytes."""

    def build(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content())
        return path

    return build


def saved(picture: Image.Image | Array, name: str, kind: str | None = None, **options: Any) -> Build:
    """A file that Pillow writes."""

    def build(folder: Path) -> Path:
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(folder / name, kind, **options)
        return folder / name

    return build


def encoded(kind: str, picture: Image.Image | Array = PHOTO, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def given(source: Any) -> Build:
    """Something in memory."""
    return lambda _: source


def frames(kind: str, name: str, **options: Any) -> Build:
    """Three pictures in one file: PHOTO, then black, then grey."""
    others = [Image.new("RGB", PHOTO.size), Image.new("RGB", PHOTO.size, (99, 99, 99))]
    return saved(PHOTO, name, kind, save_all=True, append_images=others, **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG by hand, for what Pillow does not write. colour: 0 grey, 2 RGB, 4 grey + alpha, 6 RGB + alpha."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + extra + data + chunk(b"IEND", b"")


def tiff(width: int, height: int, bits: tuple[int, ...], photometric: int, data: bytes, **more: int) -> bytes:
    """A little-endian TIFF of one strip by hand. more: t254=1 sets tag 254 to 1."""
    tags: dict[int, tuple[int, ...]] = {
        tag: value if isinstance(value, tuple) else (value,)
        for tag, value in zip(
            (256, 257, 258, 259, 262, 273, 277, 278, 279),
            (width, height, bits, 1, photometric, 0, len(bits), height, len(data)),
            strict=True,
        )
    } | {int(key[1:]): (value,) for key, value in more.items()}
    after = 8 + 2 + 12 * len(tags) + 4
    long_bits = struct.pack(f"<{len(bits)}H", *bits) if len(bits) > 2 else b""
    tags[273] = (after + len(long_bits),)
    entries = b""
    for tag, values in sorted(tags.items()):
        field = (
            struct.pack("<I", after) if len(values) > 2 else struct.pack(f"<{len(values)}H", *values).ljust(4, b"\0")
        )
        entries += struct.pack("<HHI", tag, 3, len(values)) + field
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0" + long_bits + data


def profile(space: bytes, *, swap: bool = False) -> bytes:
    """An ICC profile by hand: linear light (gamma 1) over sRGB's primaries; swap exchanges red and green."""
    fixed = lambda *v: struct.pack(f">{len(v)}i", *(round(x * 65536) for x in v))  # noqa: E731
    xyz = lambda *v: b"XYZ \0\0\0\0" + fixed(*v)  # noqa: E731
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256) + b"\0\0"
    text = b"linear by hand\0"
    desc = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    red, green, blue = xyz(0.4360, 0.2225, 0.0139), xyz(0.3851, 0.7169, 0.0971), xyz(0.1431, 0.0606, 0.7141)
    if swap:
        red, green = green, red
    tags = {b"desc": desc, b"wtpt": xyz(0.9642, 1.0, 0.8249)}
    if space == b"GRAY":
        tags |= {b"kTRC": curve}
    else:
        tags |= {b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">III4s4s4s", 0, 0, 0x02400000, b"mntr", space, b"XYZ ") + struct.pack(
        ">6H", 2026, 1, 1, 0, 0, 0
    )
    head += b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249) + bytes(48)
    whole = head + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def to_srgb(linear: Array) -> Array:
    """IEC 61966-2-1: what a display shows for this much light."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def grey3(values: Any) -> Array:
    """Grey values in 0..1 as RGB."""
    return np.repeat(np.asarray(values, dtype=np.float64)[..., None], 3, axis=2)


def largest(difference: Array) -> float:
    return float(np.abs(difference).max())


def as_stored(upright: Array, orientation: int) -> Array:
    """The rows of a file whose EXIF orientation says how to hold it (EXIF 2.3, table 4.6.4 A)."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def indexed(**info: Any) -> Image.Image:
    """Three palette colours in a row: red, green, blue."""
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    image.info.update(info)
    return image


def alpha_image(mode: str) -> Image.Image:
    image = Image.fromarray(GREY if mode == "LA" else BYTES)
    image.putalpha(Image.fromarray(ALPHA))
    assert image.mode == mode
    return image


def psd_of_two_layers() -> bytes:
    """A Photoshop file by hand: a flattened red picture of 2 x 1, and two layers without channels."""
    layer = struct.pack(">4iH", 0, 0, 1, 2, 0) + b"8BIMnorm" + b"\xff\0\0\0" + struct.pack(">III", 8, 0, 0)
    layers = struct.pack(">h", 2) + layer * 2
    block = struct.pack(">I", len(layers)) + layers + bytes(4)
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 1, 2, 8, 3) + bytes(8) + struct.pack(">I", len(block)) + block
    return head + struct.pack(">H", 0) + b"\xff\xff\0\0\0\0"


def at_frame(frame: int) -> Build:
    def build(folder: Path) -> Image.Image:
        image = Image.open(io.BytesIO(encoded("TIFF", save_all=True, append_images=[Image.new("RGB", (3, 2), "red")])))
        image.seek(frame)
        return image

    return build


def broken_crc() -> bytes:
    content = bytearray(encoded("PNG"))
    content[content.index(b"IDAT") + 12] ^= 0xFF
    return bytes(content)


def fifo(folder: Path) -> Path:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(folder / "pipe.png")
    return folder / "pipe.png"


# ---- read rightly ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reads:
    """What comes of it: these values (within so many steps of 1/255) and exactly these notes."""

    build: Build
    rgb: Array
    notes: tuple[str, ...] = ()
    within: float = 0.01


def turned(kind: str, orientation: int, **options: Any) -> Reads:
    stored = np.ascontiguousarray(as_stored(SOFT if kind == "JPEG" else BYTES, orientation))
    notes = (TURNED,) if orientation > 1 else ()
    build = saved(stored, f"turned.{kind.lower()}", kind, exif=exif(orientation), **options)
    return Reads(build, SOFT / 255 if kind == "JPEG" else UNIT, notes, 4 if kind == "JPEG" else 0.01)


TURNS = {
    f"orientation {o} {kind}": turned(kind, o, **options)
    for kind, options in {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": FINE}.items()
    for o in range(1, 9)
}

FILES = {
    "PNG": Reads(saved(PHOTO, "a.png"), UNIT),
    "BMP": Reads(saved(PHOTO, "a.bmp"), UNIT),
    "PPM": Reads(saved(PHOTO, "a.ppm"), UNIT),
    "PNG named .jpg": Reads(saved(PHOTO, "a.jpg", "PNG"), UNIT),
    "PNG without an ending": Reads(saved(PHOTO, "photo", "PNG"), UNIT),
    "JPEG named .png": Reads(saved(SOFT, "a.png", "JPEG", **FINE), SOFT / 255, within=4),
    "progressive JPEG": Reads(saved(SOFT, "a.jpg", progressive=True, **FINE), SOFT / 255, within=4),
    "JPEG kept as YCbCr": Reads(saved(Image.fromarray(SOFT).convert("YCbCr"), "a.jpg", **FINE), SOFT / 255, within=4),
    "grey JPEG": Reads(saved(SOFT[..., 0], "a.jpg", **FINE), grey3(SOFT[..., 0] / 255), ("converted from grey",), 3),
    "grey PNG": Reads(saved(GREY, "a.png"), GREY_UNIT, ("converted from grey",)),
    "4-bit grey PNG": Reads(file("a.png", png(2, 1, 4, 0, b"\0\x3f")), grey3([[0.2, 1]]), ("converted from grey",)),
    "1-bit PNG": Reads(saved(GREY > 99, "a.png"), grey3(GREY > 99), ("converted from black and white",)),
    "1-bit TIFF, zero is white": Reads(
        file("a.tif", tiff(8, 1, (1,), 0, b"\xf0")), grey3([[0] * 4 + [1] * 4]), ("converted from black and white",)
    ),
    "16-bit RGB PNG": Reads(
        file("a.png", png(1, 1, 16, 2, b"\0" + struct.pack(">3H", 0xABCD, 0x1234, 0xFFFF))),
        np.array([[[0xABCD, 0x1234, 0xFFFF]]]) / 65535,
        within=1,
    ),
    "16-bit RGBA PNG": Reads(
        file("a.png", png(1, 1, 16, 6, b"\0" + struct.pack(">4H", 0xFFFF, 0, 0, 0x8080))),
        np.array([[[1, 1 - 128 / 255, 1 - 128 / 255]]]),
        (WHITE,),
    ),
    "CMYK JPEG": Reads(
        saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "a.jpg"), np.full((16, 16, 3), [1, 0, 0]), (PLAIN_CMYK,), 2
    ),
    "CMYK TIFF": Reads(
        saved(Image.new("CMYK", (2, 2), (255, 0, 0, 127)), "a.tif"),
        np.full((2, 2, 3), [0, 128, 128]) / 255,
        (PLAIN_CMYK,),
        2,
    ),
    "LAB TIFF": Reads(
        file("a.tif", lambda: encoded("TIFF", Image.new("LAB", (2, 2), (138, 128 + 81, 128 + 70)))),
        np.full((2, 2, 3), [1.0, 0, 0]),
        ("converted from LAB",),
        6,
    ),
    "palette PNG": Reads(saved(indexed(), "a.png"), np.eye(3)[None]),
    "palette PNG, one colour clear": Reads(
        saved(indexed(), "a.png", transparency=1), np.array([[[1, 0, 0], [1, 1, 1], [0, 0, 1]]]), (WHITE,)
    ),
    "palette PNG, soft alpha": Reads(
        saved(indexed(), "a.png", transparency=bytes([255, 51, 0])),
        np.array([[[1, 0, 0], [0.8, 1, 0.8], [1, 1, 1]]]),
        (WHITE,),
    ),
    "GIF, one colour clear": Reads(
        saved(indexed(), "a.gif", transparency=2), np.array([[[1, 0, 0], [0, 1, 0], [1, 1, 1]]]), (WHITE,)
    ),
    "RGBA PNG": Reads(saved(alpha_image("RGBA"), "a.png"), OVER_WHITE, (WHITE,)),
    "RGBA PNG, nothing clear": Reads(saved(PHOTO.convert("RGBA"), "a.png"), UNIT),
    "RGBA WebP": Reads(saved(alpha_image("RGBA"), "a.webp", lossless=True, exact=True), OVER_WHITE, (WHITE,)),
    "grey and alpha PNG": Reads(
        saved(alpha_image("LA"), "a.png"),
        grey3(GREY / 255 * (ALPHA / 255) + 1 - ALPHA / 255),
        ("converted from grey", WHITE),
    ),
    "RGB PNG, one colour clear": Reads(
        saved(Image.fromarray(np.array([[[9, 8, 7], [1, 2, 3]]], np.uint8)), "a.png", transparency=(9, 8, 7)),
        np.array([[[255, 255, 255], [1, 2, 3]]]) / 255,
        (WHITE,),
    ),
    "premultiplied alpha TIFF": Reads(
        file("a.tif", tiff(1, 1, (8, 8, 8, 8), 2, bytes([102, 51, 0, 102]), t338=1)),
        np.array([[[1, 0.8, 0.6]]]),
        (WHITE,),
        1,
    ),
    "premultiplied grey TIFF": Reads(
        file("a.tif", tiff(1, 1, (8, 8), 1, bytes([51, 102]), t338=1)),
        grey3([[0.8]]),
        ("converted from grey", WHITE),
        1,
    ),
}

WIDES = {
    "16-bit grey PNG": Reads(saved(WIDE, "a.png"), WIDE_UNIT, (LEVEL,)),
    "16-bit grey TIFF": Reads(saved(WIDE, "a.tif"), WIDE_UNIT, (LEVEL,)),
    "16-bit big-endian TIFF": Reads(
        file("a.tif", lambda: encoded("TIFF", Image.frombytes("I;16B", (7, 5), WIDE.astype(">u2").tobytes()))),
        WIDE_UNIT,
        (LEVEL,),
    ),
    "16-bit TIFF, zero is white": Reads(file("a.tif", tiff(7, 5, (16,), 0, WIDE.tobytes())), 1 - WIDE_UNIT, (LEVEL,)),
    "16-bit grey PNG turned": Reads(
        saved(np.ascontiguousarray(np.rot90(WIDE, 1)), "a.png", exif=exif(6)), WIDE_UNIT, (TURNED, LEVEL)
    ),
    "16-bit grey PNG, one value clear": Reads(
        file("a.png", png(2, 1, 16, 0, b"\0" + struct.pack(">2H", 771, 65535 // 3), chunk(b"tRNS", b"\x03\x03"))),
        grey3([[1, 1 / 3]]),
        (LEVEL, WHITE),
    ),
    "12 bits in 16": Reads(
        saved(WIDE >> 4, "a.png"),
        grey3((WIDE >> 4) / 65535),
        (LEVEL, f"its brightest value is {WIDE.max() >> 4} of 65535: it may hold fewer bits and will look dark"),
    ),
    "12-bit TIFF": Reads(
        file("a.tif", tiff(2, 1, (12,), 1, bytes([0xFF, 0xF8, 0x00]))),
        grey3([[1, 2048 / 4095]]),
        ("12-bit grey, scaled by 4095",),
    ),
    "32-bit integer TIFF that holds 16": Reads(saved(WIDE.astype(np.int32), "a.tif"), WIDE_UNIT, (LEVEL,)),
    "float TIFF": Reads(saved(UNIT[..., 0], "a.tif"), GREY_UNIT, ("grey floats",)),
    "float TIFF, zero is white": Reads(
        file("a.tif", tiff(7, 5, (32,), 0, UNIT[..., 0].tobytes(), t339=3)), 1 - GREY_UNIT, ("grey floats",)
    ),
}

LINEAR = "colours converted to sRGB from the profile 'linear by hand'"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILES = {
    "profile in RGB": Reads(
        saved(PHOTO, "a.png", icc_profile=profile(b"RGB ", swap=True)), to_srgb(UNIT[..., [1, 0, 2]]), (LINEAR,), 2
    ),
    "profile in JPEG": Reads(
        saved(SOFT, "a.jpg", **FINE, icc_profile=profile(b"RGB ")), to_srgb(SOFT / 255), (LINEAR,), 8
    ),
    "profile and alpha": Reads(
        saved(alpha_image("RGBA"), "a.png", icc_profile=profile(b"RGB ")),
        to_srgb(UNIT) * (ALPHA[..., None] / 255) + 1 - ALPHA[..., None] / 255,
        (LINEAR, WHITE),
        2,
    ),
    "profile and palette": Reads(
        saved(indexed(), "a.png", icc_profile=profile(b"RGB ", swap=True)),
        np.eye(3)[None][..., [1, 0, 2]],
        (LINEAR,),
        2,
    ),
    "grey profile": Reads(saved(GREY, "a.png", icc_profile=profile(b"GRAY")), to_srgb(GREY_UNIT), (LINEAR,), 2),
    "grey profile and alpha": Reads(
        saved(alpha_image("LA"), "a.png", icc_profile=profile(b"GRAY")),
        to_srgb(GREY_UNIT) * (ALPHA[..., None] / 255) + 1 - ALPHA[..., None] / 255,
        (LINEAR, WHITE),
        2,
    ),
    "RGB profile on grey": Reads(saved(GREY, "a.png", icc_profile=profile(b"RGB ")), to_srgb(GREY_UNIT), (LINEAR,), 2),
    "sRGB profile changes nothing": Reads(saved(PHOTO, "a.png", icc_profile=SRGB), UNIT, within=0),
    "sRGB profile on grey": Reads(saved(GREY, "a.png", icc_profile=SRGB), GREY_UNIT, ("converted from grey",), 0),
    "broken profile": Reads(
        saved(PHOTO, "a.png", icc_profile=b"no profile at all"), UNIT, ("its colour profile could not be applied",)
    ),
    "broken profile on CMYK": Reads(
        saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "a.jpg", icc_profile=b"junk"),
        np.full((16, 16, 3), [1, 0, 0]),
        ("its colour profile could not be applied", PLAIN_CMYK),
        2,
    ),
    "profile of another colour space": Reads(
        saved(PHOTO, "a.png", icc_profile=profile(b"GRAY")), UNIT, ("its colour profile could not be applied",)
    ),
}

FRAMES = {
    "animated GIF": Reads(
        saved(indexed(), "a.gif", save_all=True, append_images=[Image.new("P", (3, 1), 1)]),
        np.eye(3)[None],
        ("first of 2 frames",),
    ),
    "animated WebP": Reads(frames("WEBP", "a.webp", lossless=True), UNIT, ("first of 3 frames",)),
    "animated PNG": Reads(frames("PNG", "a.png"), UNIT, ("first of 3 frames",)),
    "TIFF of pages": Reads(frames("TIFF", "a.tif"), UNIT, ("first of 3 pages",)),
    "MPO of a phone": Reads(
        saved(SOFT, "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (48, 32))], **FINE),
        SOFT / 255,
        ("the main picture of 2 in the file",),
        4,
    ),
    "Photoshop layers": Reads(
        file("a.psd", psd_of_two_layers()), np.full((1, 2, 3), [1, 0, 0]), ("its 2 layers as they lie together",)
    ),
    "PIL image at its second page": Reads(at_frame(1), np.full((2, 3, 3), [1, 0, 0]), ("page 2 of 2",)),
}

ODD_FILES = {
    "JPEG with broken EXIF": Reads(
        file("a.jpg", lambda: encoded("JPEG", SOFT, **FINE, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12")),
        SOFT / 255,
        ("Pillow warns: Corrupt EXIF data",),
        4,
    ),
    "PNG with junk for EXIF": Reads(
        saved(PHOTO, "a.png", exif=b"Exif\0\0junk, no EXIF"), UNIT, ("its EXIF data cannot be read",)
    ),
    "orientation 9, which does not exist": Reads(saved(PHOTO, "a.png", exif=exif(9)), UNIT),
    "PNG without its end": Reads(file("a.png", lambda: encoded("PNG")[:-12]), UNIT),
    "GIF whose second frame is cut": Reads(
        file("a.gif", lambda: encoded("GIF", indexed(), save_all=True, append_images=[Image.new("P", (3, 1), 1)])[:-6]),
        np.eye(3)[None],
        ("first of 2 frames",),
    ),
    "one pixel": Reads(saved(BYTES[:1, :1], "a.png"), UNIT[:1, :1]),
    "1 x 5000": Reads(saved(np.tile(BYTES[:1, :1], (5000, 1, 1)), "a.png"), np.tile(UNIT[:1, :1], (5000, 1, 1))),
    "5000 x 1": Reads(saved(np.tile(BYTES[:1, :1], (1, 5000, 1)), "a.png"), np.tile(UNIT[:1, :1], (1, 5000, 1))),
    "path as text": Reads(lambda f: str(saved(PHOTO, "a.png")(f)), UNIT),
    "path as a PathLike of bytes": Reads(lambda f: _Bytes(saved(PHOTO, "a.png")(f)), UNIT),
} | {
    f"a file called {name!r}": Reads(saved(PHOTO, name, "PNG"), UNIT)
    for name in (
        "a b.png",
        "quo'te\".png",
        "<b>&amp;.png",
        "naïve 写真 🦊.png",
        "100%#?.png",
        "-x.png",
        "two\nlines.png",
        ".png",
    )
}


class _Bytes(os.PathLike[bytes]):
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self.path)


HALF = torch.from_numpy(UNIT).permute(2, 0, 1)
RGBA_UNIT = np.dstack([UNIT, ALPHA.astype(np.float32) / 255])
MEMORY = {
    "PIL image": Reads(given(PHOTO), UNIT),
    "PIL image, premultiplied": Reads(given(alpha_image("RGBA").convert("RGBa")), OVER_WHITE, (WHITE,), 1),
    "PIL image, HSV": Reads(
        given(Image.new("HSV", (1, 1), (0, 255, 255))), np.array([[[1, 0, 0]]]), ("converted from HSV",)
    ),
    "PIL image, palette of RGBA": Reads(
        given(alpha_image("RGBA").crop((6, 4, 7, 5)).quantize(2)), UNIT[4:, 6:], within=1.01
    ),
    "bool": Reads(given(GREY > 99), grey3(GREY > 99)),
    "uint8": Reads(given(BYTES), UNIT),
    "uint8, dim": Reads(
        given(np.array([[0, 1]], np.uint8)),
        grey3([[0, 1 / 255]]),
        ("its brightest value is 1 of 255: it may hold fewer bits and will look dark",),
    ),
    "uint8, all black": Reads(given(np.zeros((2, 2), np.uint8)), np.zeros((2, 2, 3))),
    "uint16": Reads(given(WIDE), WIDE_UNIT),
    "uint16, other byte order": Reads(given(WIDE.astype(">u2")), WIDE_UNIT),
    "float32": Reads(given(UNIT), UNIT),
    "float64, other byte order": Reads(given(UNIT.astype(">f8")), UNIT),
    "float16": Reads(given(UNIT.astype(np.float16)), UNIT, within=0.2),
    "floats astray by rounding": Reads(given(np.array([[-1e-7, 1.000001]])), grey3([[0, 1]]), within=0),
    "[H, W]": Reads(given(UNIT[..., 0]), GREY_UNIT),
    "[H, W, 1]": Reads(given(UNIT[..., :1]), GREY_UNIT),
    "[H, W, 4]": Reads(given(RGBA_UNIT), OVER_WHITE, (WHITE,)),
    "[H, W, 4] uint8": Reads(given(np.dstack([BYTES, ALPHA])), OVER_WHITE, (WHITE,)),
    "[H, W, 4], nothing clear": Reads(given(np.dstack([BYTES, np.full_like(ALPHA, 255)])), UNIT),
    "mirrored view": Reads(given(BYTES[:, ::-1]), UNIT[:, ::-1]),
    "read-only": Reads(given(np.broadcast_to(np.float32(0.5), (4, 3, 3))), np.full((4, 3, 3), 0.5)),
    "mask that hides nothing": Reads(given(np.ma.masked_array(UNIT)), UNIT),
    "tensor [3, H, W]": Reads(given(HALF), UNIT),
    "tensor [1, 3, H, W]": Reads(given(HALF[None]), UNIT),
    "tensor [1, H, W]": Reads(given(HALF[:1]), GREY_UNIT),
    "tensor [H, W]": Reads(given(HALF[0]), GREY_UNIT),
    "tensor [4, H, W]": Reads(given(torch.from_numpy(RGBA_UNIT).permute(2, 0, 1)), OVER_WHITE, (WHITE,)),
    "tensor of bytes": Reads(given(torch.from_numpy(BYTES).permute(2, 0, 1)), UNIT),
    "tensor of bools": Reads(given(HALF[0] > 0.5), grey3(UNIT[..., 0] > 0.5)),
    "tensor, half": Reads(given(HALF.half()), UNIT, within=0.2),
    "tensor, bfloat16": Reads(given(HALF.bfloat16()), UNIT, within=0.6),
    "tensor, float8": Reads(given(HALF.to(torch.float8_e4m3fn)), UNIT, within=9),
    "tensor, double": Reads(given(HALF.double()), UNIT),
    "tensor that needs a gradient": Reads(given(HALF.clone().requires_grad_()), UNIT),
    "tensor with lazy sign": Reads(given(torch._neg_view(-HALF)), UNIT),
}

READ = TURNS | FILES | WIDES | PROFILES | FRAMES | ODD_FILES | MEMORY


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


# ---- refused -----------------------------------------------------------------------------------------


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


# ---- whatever else -----------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "name", ["truncated JPEG", "empty file", "http address", "None", "batch of 2", "int64", "bomb"]
)
def test_image_refuses(name: str, tmp_path: Path) -> None:
    with pytest.raises(REFUSED[name].error) as caught:
        rg.image(REFUSED[name].build(tmp_path))
    assert REFUSED[name].says in caught.value.message


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str) -> None:
    picture = read_picture(f"sample:{name}")
    assert (picture.name, picture.notes) == (name, ())
    assert min(picture.rgb.shape[:2]) >= 300


def test_to_pil_is_the_inverse() -> None:
    assert np.array_equal(np.asarray(read_picture(PHOTO).to_pil()), BYTES)
    assert np.array_equal(np.asarray(Picture(np.float32([[[0.0, 0.5, 1.0]]]), "p").to_pil()), [[[0, 128, 255]]])
