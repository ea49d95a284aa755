"""`Facts`: what regard knows about a model, and which of it is assumed.

Nothing is attached to the user's module: facts of models that regard loaded are kept beside them in a
weak table; those of foreign modules are read off the module, and what cannot be read is assumed aloud.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Facts:
    """How a picture must be prepared for a model, and what its outputs are called.

    fit: "free" keeps the picture's shape (sides are multiples of `patch`), "crop" resizes the short
    side to size / crop and cuts the centre. size: (height, width) in pixels.
    """

    name: str
    size: tuple[int, int] = (224, 224)
    patch: int | None = None
    fit: Literal["free", "crop"] = "crop"
    crop: float = 1.0
    interpolation: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    classes: tuple[str, ...] = ()
    weights: str = "given by the caller"
    licence: str = "unknown"
    assumed: tuple[str, ...] = ()


_known: WeakKeyDictionary[nn.Module, Facts] = WeakKeyDictionary()


def remember(module: nn.Module, facts: Facts) -> nn.Module:
    """Keep `facts` beside `module`, for as long as the module lives."""
    _known[module] = facts
    return module


def facts_of(module: nn.Module) -> Facts:
    """Facts kept by a provider, or read off the module (timm and transformers carry some), or assumed."""
    if module in _known:
        return _known[module]
    cfg: Any = getattr(module, "pretrained_cfg", None)
    if isinstance(cfg, dict):
        return timm_facts(module, f"timm:{cfg.get('architecture', type(module).__name__)}")
    if hasattr(module, "config") and hasattr(module.config, "image_size"):
        return hf_facts(module, type(module).__name__)
    return Facts(
        name=type(module).__name__,
        assumed=("input 224 x 224", "ImageNet mean and standard deviation", "class names unknown"),
    )


def timm_facts(module: Any, name: str, weights: str = "given by the caller") -> Facts:
    """Facts that a timm model carries in `pretrained_cfg`."""
    cfg: dict[str, Any] = module.pretrained_cfg
    free = bool(getattr(module, "dynamic_img_size", False))
    embed = getattr(module, "patch_embed", None)
    patch = getattr(embed, "patch_size", None)
    size = getattr(embed, "img_size", None) or tuple(cfg["input_size"][1:])
    interpolation = cfg.get("interpolation", "bicubic")
    mode = cfg.get("crop_mode") or "center"
    return Facts(
        name=name,
        size=(int(size[0]), int(size[1])),
        patch=int(patch if isinstance(patch, int) else patch[0]) if patch else None,
        fit="free" if free else "crop",
        crop=float(cfg.get("crop_pct") or 1.0),
        interpolation=interpolation if interpolation in ("bicubic", "bilinear", "lanczos") else "bicubic",
        mean=tuple(cfg["mean"]),
        std=tuple(cfg["std"]),
        classes=imagenet_names(int(getattr(module, "num_classes", 0))),
        weights=weights,
        licence=str(cfg.get("license") or "unknown"),
        assumed=() if free or mode == "center" else (f"centre crop, where timm's configuration says '{mode}'",),
    )


def hf_facts(module: Any, name: str) -> Facts:
    """Facts that a transformers model carries in `config`; the processor's mean and std are not among them."""
    config = module.config
    size = config.image_size
    height, width = (size, size) if isinstance(size, int) else tuple(size)[:2]
    patch = getattr(config, "patch_size", None)
    labels: dict[int, str] = getattr(config, "id2label", None) or {}
    told = any(label != f"LABEL_{i}" for i, label in labels.items())  # transformers' stand-in for a name
    named = tuple(labels[i] for i in sorted(labels)) if told else ()
    return Facts(
        name=name,
        size=(int(height), int(width)),
        patch=patch if isinstance(patch, int) else None,
        classes=named,
        assumed=("ImageNet mean and standard deviation",),
    )


def imagenet_names(count: int) -> tuple[str, ...]:
    """English names of the ImageNet-1k classes if there are 1000 outputs, else nothing."""
    if count != 1000:
        return ()
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return tuple(info.index_to_description(i) for i in range(count))


def named(facts: Facts, name: str) -> Facts:
    """The same facts under another name."""
    return replace(facts, name=name)
