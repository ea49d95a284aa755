"""Odd pictures that are read rightly: what each is made of, its values and its notes."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms

from .picture_files import (
    ALPHA,
    BYTES,
    FINE,
    GREY,
    GREY_UNIT,
    LEVEL,
    OVER_WHITE,
    PHOTO,
    PLAIN_CMYK,
    SOFT,
    TURNED,
    UNIT,
    WHITE,
    WIDE,
    WIDE_UNIT,
    Array,
    Build,
    alpha_image,
    as_stored,
    at_frame,
    chunk,
    encoded,
    exif,
    file,
    frames,
    given,
    grey3,
    indexed,
    png,
    profile,
    psd_of_two_layers,
    saved,
    tiff,
    to_srgb,
)


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
