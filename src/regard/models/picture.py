"""`read_picture`: anything that holds a photo, to honest RGB. Right, or a typed error; oddities are noted."""

from __future__ import annotations

import io
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, ImageFile, UnidentifiedImageError
from torch import Tensor

from regard.errors import DataError, ImageError, RegardError

MAX_PIXELS = 178_956_970  # where Pillow itself refuses: a decompression bomb
SAMPLES = ("astronaut", "camera", "chelsea", "coffee", "rocket")  # carried by scikit-image's wheel

if TYPE_CHECKING:
    Source = str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor
else:
    Source = Any  # what else is given is refused by read_picture, which says what to do; a type checker cannot

_ADDRESS = re.compile(r"data:image/|[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # not C://photo.png
_filters = threading.Lock()  # Python's warning filters belong to the whole process
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WORDS = {"L": "grey", "1": "black and white", "CMYK": "CMYK by the plain formula, without a colour profile"}
_COPY = "copy or download it again"
_HEIC = "save it as JPEG, or in Python call pillow_heif.register_heif_opener() first"
_RAW = "export it as JPEG or as 16-bit PNG"
# What a file that Pillow cannot open really is: where these bytes stand in it, its kind, what to do.
_KINDS = (
    (4, rb"ftyp(hei|hev|mif|msf)", "an HEIC photo, which Pillow does not read", _HEIC),
    (4, rb"ftypavi[fs]", "an AVIF photo, damaged or beyond this Pillow", "copy it again, or save it as JPEG"),
    (4, rb"ftyp", "a film, or a picture in a film's container", "save one frame as PNG"),
    (8, rb"CR\x02", "a camera's raw file (CR2)", _RAW),
    (0, rb"%PDF", "a PDF", "save the page as PNG"),
    (0, rb"\x93NUMPY", "a NumPy array", "np.load it, then give the array"),
    (0, rb"PK\x03\x04", "an archive", "unpack it first"),
    (0, rb"version https://git-lfs", "a pointer of Git LFS, not the picture itself", "git lfs pull"),
    (0, rb"(?is)\s*(<\?xml.*?|<!--.*?)?<(!doctype )?svg", "a drawing (SVG), not pixels", "draw it into a PNG first"),
    (0, rb"(?i)\s*<(!doctype )?html", "a web page", "open it in a browser and save the picture itself"),
    (0, rb"\x89PNG|\xff\xd8|GIF8|RIFF....WEBP|II\*\0|MM\0\*|BM", "damaged or cut short", _COPY),
)


@dataclass(frozen=True)
class Picture:
    """RGB values `[H, W, 3]` in 0..1, the name to show, and what was done on the way."""

    rgb: NDArray[np.float32]
    name: str
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return self.rgb.shape[0]

    @property
    def width(self) -> int:
        return self.rgb.shape[1]

    def to_pil(self) -> Image.Image:
        """8-bit copy for resizing and drawing."""
        return Image.fromarray((self.rgb * 255.0).round().astype(np.uint8))


def read_picture(source: Source, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a path, `sample:NAME`, PIL image, array (`[H, W]`, `[H, W, 1|3|4]`) or tensor (`[1|3|4, H, W]`).

    EXIF turns and ICC profiles are applied, alpha is laid over white, 16 bits are scaled by 65535, of an
    animation the first frame is taken (of a PIL image the frame it stands at). Raises ImageError
    (unreadable, empty, too large, out of range) or DataError (no such file).
    """
    if isinstance(source, Image.Image):
        return _from_pil(source, "picture", max_pixels, [])
    if isinstance(source, Tensor):
        return _from_array(_channels_last(source), "tensor", max_pixels)
    if isinstance(source, np.ndarray):
        return _from_array(source, "array", max_pixels)
    if isinstance(source, (str, os.PathLike)):
        return _from_path(os.fsdecode(source), max_pixels)
    hint = "a path, a PIL image, an array [H, W, 3] or a tensor [3, H, W]"
    if isinstance(source, (bytes, bytearray, memoryview)):
        hint = "PIL.Image.open(io.BytesIO(data)) makes a picture of an encoded file; np.asarray of pixels"
    elif hasattr(source, "read"):
        hint = "its path, or PIL.Image.open(file)"
    elif isinstance(source, (list, tuple, set, dict)):
        hint = f"one picture at a time: {hint}"
    raise ImageError(f"a picture cannot be read from {type(source).__name__}", hint=hint)


def _from_path(text: str, max_pixels: int) -> Picture:
    if text.startswith("sample:"):
        return _sample(text.removeprefix("sample:"), max_pixels)
    path, head = _opened(text)
    if re.match(rb"....\x10\0\0\0CR\x02", head, re.DOTALL):
        raise _unread(path, head, "")  # before Pillow takes its preview for the photo
    notes: list[str] = []
    try:
        with _heard(notes):
            opened = Image.open(path)
    except UnidentifiedImageError as error:
        raise _unread(path, head, "; ".join(notes)) from error
    except Exception as error:  # decoders raise whatever a damaged header leads them to
        raise _undecoded(path.name, error) from error
    with opened:
        if opened.format == "EPS" or isinstance(opened, ImageFile.StubImageFile):  # EPS would run a program
            raise ImageError(f"'{path}' holds {opened.format}, which is no photo", hint="save it as PNG first")
        return _from_pil(opened, path.name, max_pixels, notes)


def _opened(text: str) -> tuple[Path, bytes]:
    """The file at `text` and how it begins, or the refusal that says what is there instead."""
    shown = text if len(text) < 200 else f"{text[:100]}..."
    if _ADDRESS.match(text):
        raise DataError(
            f"'{shown}' is an address; regard does not download", hint="save the picture, then give its path"
        )
    try:
        path = Path(text).expanduser()
        if path.is_dir() and text:
            raise ImageError(f"'{path}' is a folder", hint=f"the pictures in it: {path}/*.jpg")
        if not text or not path.exists():
            sample = text if text in SAMPLES else "chelsea"
            hint = f"check the path, or sample:{sample} for a bundled photo"
            raise DataError(f"no file '{path if text else ''}'", hint=hint)
        if not path.is_file():  # reading a pipe or a device would wait for ever
            raise ImageError(f"'{path}' is no regular file", hint="save what it gives as a file first")
        with path.open("rb") as file:
            head = file.read(4096)
    except RegardError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error  # not the whole path once more
        raise DataError(f"'{shown}' cannot be opened ({why})", hint="check the path and who may read it") from error
    if not head:
        raise ImageError(f"'{path}' is empty (0 bytes)", hint=_COPY)
    return path, head


@contextmanager
def _heard(notes: list[str]) -> Iterator[None]:
    """Pillow's warnings become notes: they concern this picture, not the program that reads it."""
    with _filters, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # judged by max_pixels instead
        try:
            yield
        finally:
            notes += dict.fromkeys(f"Pillow warns: {' '.join(str(w.message).split())}" for w in caught)


def _sample(name: str, max_pixels: int) -> Picture:
    if name not in SAMPLES:
        raise DataError(f"no bundled photo '{name}'", hint=", ".join(f"sample:{s}" for s in SAMPLES))
    from skimage import data

    return _from_array(getattr(data, name)(), name, max_pixels)


def _unread(path: Path, head: bytes, warned: str) -> ImageError:
    what, hint = f"not a picture that Pillow {Image.__version__} reads", "convert it to PNG or JPEG"
    for at, begins, kind, advice in _KINDS:
        if re.compile(begins, re.DOTALL).match(head, at):
            what, hint = kind, advice
            break
    return ImageError(f"'{path}' is {what}{f' ({warned})' if warned else ''}", hint=hint)


def _undecoded(name: str, error: Exception) -> ImageError:
    if isinstance(error, (Image.DecompressionBombError, MemoryError)):
        hint = "shrink it in another program first (or, if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS)"
        return ImageError(f"'{name}' is too large ({error or 'out of memory'})", hint=hint)
    return ImageError(f"'{name}' is damaged or cut short ({error or type(error).__name__})", hint=_COPY)


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"'{name}' has no pixels ({width} x {height})", hint="give a picture of at least 1 x 1")
    if width * height > max_pixels:
        raise ImageError(
            f"'{name}' is too large ({width} x {height}; the limit is {max_pixels:,} pixels)",
            hint="shrink it first, or read_picture(..., max_pixels=...)",
        )


def _from_pil(image: Image.Image, name: str, max_pixels: int, notes: list[str]) -> Picture:
    _check_size(image.width, image.height, name, max_pixels)
    tags: Any = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    reduced = tags.get(254, 0)
    if isinstance(reduced, int) and reduced & 1:
        raise ImageError(f"'{name}' begins with a small preview, as a camera's raw file does", hint=_RAW)
    try:
        with _heard(notes):
            frames = _frames(image)
        told = _orientation(image, notes) if image.format == "TIFF" else None  # it is turned as it loads
        image.load()  # before EXIF of all others: for PNG that would load too, and Pillow fails only once
        turn = _orientation(image, notes)
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise _undecoded(name, error) from error
    if frames:
        notes.append(frames)
    if told in _TURNS or turn in _TURNS:
        notes.append("turned upright by its EXIF orientation")
    turned = image.transpose(_TURNS[turn]) if turn in _TURNS else image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_wide(turned, name, notes, bits=tags.get(258, (16,))[0], inverted=tags.get(262) == 0)
    return _to_rgb(turned, name, notes)


def _orientation(image: Image.Image, notes: list[str]) -> Any:
    """The EXIF orientation; EXIF that cannot be read is no reason to refuse good pixels."""
    try:
        with _heard(notes):
            return image.getexif().get(_ORIENTATION)
    except Exception:
        if (note := "its EXIF data cannot be read") not in notes:
            notes.append(note)
        return None


def _frames(image: Image.Image) -> str:
    """Which of several frames is read, if there are several."""
    count, at = getattr(image, "n_frames", 1), image.tell()
    if count < 2:
        return ""
    if image.format == "PSD":
        return f"its {count} layers as they lie together"
    if image.format == "MPO" and at == 0:  # phones put a second exposure or a depth map behind the photo
        return f"the main picture of {count} in the file"
    word = "page" if image.format == "TIFF" else "frame"
    return f"{word} {at + 1} of {count}" if at else f"first of {count} {word}s"


def _to_rgb(image: Image.Image, name: str, notes: list[str]) -> Picture:
    """Eight bits: straight colour through its profile, then over white where it is transparent."""
    profile, alpha = image.info.get("icc_profile"), None
    if image.has_transparency_data and image.mode not in ("CMYK", "LAB", "HSV", "YCbCr"):
        straight = image.convert("LA") if image.mode == "La" else image  # Pillow knows no way from La to RGBA
        straight = straight.convert("RGBA")
        alpha = np.asarray(straight.getchannel("A"), dtype=np.float32)[..., None] / 255.0
        image = straight.getchannel("R") if image.mode in ("1", "L", "LA", "La") else straight.convert("RGB")
    elif image.mode == "P":
        image = image.convert("RGB")
    if profile and image.mode != "1":
        image = _to_srgb(image, profile, notes)
    if image.mode != "RGB":
        notes.append(f"converted from {_WORDS.get(image.mode, image.mode)}")
        image = image.convert("RGB")
    rgb = np.asarray(image, dtype=np.float32) / 255.0
    return _over_white(rgb, alpha, name, notes)


def _over_white(rgb: NDArray[np.float32], alpha: NDArray[np.float32] | None, name: str, notes: list[str]) -> Picture:
    if alpha is not None and alpha.min() < 1.0:
        notes.append("transparency laid over white")
        rgb = rgb * alpha + (1.0 - alpha)
    return Picture(rgb, name, tuple(notes))


def _from_wide(image: Image.Image, name: str, notes: list[str], *, bits: int, inverted: bool) -> Picture:
    """Grey of 12 or 16 bits (or a 32-bit integer file that holds them), or of floats in 0..1.

    inverted: a TIFF in which zero is white, which Pillow turns round for 8 bits only.
    """
    values = np.asarray(image)
    if image.mode == "F":
        notes.append("grey floats")
        grey = _unit_floats(values, name)
    else:
        full, low, high = (4095 if bits == 12 else 65535), int(values.min()), int(values.max())
        if low < 0 or high > full:
            raise ImageError(
                f"'{name}' has integers {low}..{high}, which is no known scale",
                hint="scale it to 0..1 and give the array",
            )
        notes += [f"{bits if bits == 12 else 16}-bit grey, scaled by {full}", *_dim(high, full)]
        grey = values.astype(np.float32) / np.float32(full)
    if inverted:
        grey = 1.0 - grey
    clear = image.info.get("transparency")  # one grey value of a PNG that stands for nothing
    alpha = (values != clear).astype(np.float32)[..., None] if isinstance(clear, int) else None
    return _over_white(np.repeat(grey[..., None], 3, axis=2), alpha, name, notes)


def _dim(high: int, full: int) -> list[str]:
    """A warning for integers that use less than a sixteenth of their range."""
    if 0 < high < (full + 1) // 16:
        return [f"its brightest value is {high} of {full}: it may hold fewer bits and will look dark"]
    return []


def _to_srgb(image: Image.Image, data: bytes, notes: list[str]) -> Image.Image:
    """Apply the picture's colour profile; one that cannot be applied is left out, aloud."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        if space == "RGB" and image.mode not in ("CMYK", "LAB"):
            given = image.convert("RGB")  # grey with an RGB profile is common: equal parts of each
        else:
            given = image
        converted = ImageCms.profileToProfile(given, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        called = (profile.profile.profile_description or space).strip()
    except Exception as error:
        notes.append(f"its colour profile could not be applied ({error})")
        return image
    assert converted is not None  # only so in place
    if given.mode == "RGB":
        changes: Any = ImageChops.difference(converted, given).getextrema()
        if max(high for _, high in changes) <= 1:
            return image  # it is sRGB: spare it the rounding
    notes.append(f"colours converted to sRGB from the profile '{called}'")
    return converted


def _channels_last(tensor: Tensor) -> NDArray[Any]:
    if tensor.ndim == 4 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim == 4:
        raise ImageError(f"a batch of {tensor.shape[0]} pictures", hint="one at a time: [3, H, W]")
    if tensor.ndim == 3 and tensor.shape[0] in (1, 3, 4):
        tensor = tensor.permute(1, 2, 0)
    elif tensor.ndim != 2:
        raise ImageError(f"a tensor of shape {list(tensor.shape)} is no picture", hint="[3, H, W] with values 0..1")
    try:
        small = tensor.is_floating_point() and tensor.element_size() < 4  # numpy has no bfloat16
        return (tensor.float() if small else tensor).numpy(force=True)
    except (RuntimeError, TypeError, NotImplementedError) as error:  # meta, sparse, quantised
        what = f"a tensor of {tensor.dtype} on {tensor.device} gives no values"
        raise ImageError(f"{what} ({error})", hint="a dense tensor of floats in 0..1") from error


def _from_array(values: NDArray[Any], name: str, max_pixels: int) -> Picture:
    if np.ma.is_masked(values):
        raise ImageError(f"the {name} has masked values", hint="fill them first: values.filled(0)")
    values = np.asarray(values)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4):
        first = values.ndim == 3 and values.shape[0] in (1, 3, 4)
        raise ImageError(
            f"an array of shape {list(values.shape)} is no picture",
            hint="channels go last: values.transpose(1, 2, 0)" if first else "[H, W], [H, W, 3] or [H, W, 4]",
        )
    _check_size(values.shape[1], values.shape[0], name, max_pixels)
    notes: list[str] = []
    unit = _unit_scale(values, name, notes)
    alpha = unit[..., 3:] if unit.shape[2] == 4 else None
    rgb = np.repeat(unit, 3, axis=2) if unit.shape[2] == 1 else unit[..., :3]
    return _over_white(rgb, alpha, name, notes)


def _unit_scale(values: NDArray[Any], name: str, notes: list[str]) -> NDArray[np.float32]:
    if values.dtype.kind == "b":
        return values.astype(np.float32)
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        full = np.iinfo(values.dtype).max
        notes += _dim(int(values.max()), full)
        return values.astype(np.float32) / np.float32(full)
    if values.dtype.kind == "f":
        return _unit_floats(values, name)
    raise ImageError(f"the {name} holds {values.dtype}", hint="uint8, uint16, or floats in 0..1")


def _unit_floats(values: NDArray[Any], name: str) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise ImageError(f"'{name}' has NaN or infinite values", hint="replace them first, e.g. np.nan_to_num")
    low, high = float(values.min()), float(values.max())
    if low < -1e-5 or high > 1.00001:  # as much as arithmetic on floats strays
        raise ImageError(
            f"'{name}' has floats {low:.6g}..{high:.6g} outside 0..1",
            hint="divide by 255 if they are bytes; give an already normalised tensor to the model itself",
        )
    return values.astype(np.float32).clip(0.0, 1.0)
