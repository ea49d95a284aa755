"""How odd pictures are made: files of every kind, damaged ones, profiles and frames, by hand where Pillow cannot."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

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
