"""`Plan`: what is compared on each picture, and the fingerprint that tells whether it was done before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from regard import __version__, registry
from regard.errors import LayoutError, MethodError
from regard.subjects.bank import Draw
from regard.subjects.kept import digest

METHODS = ("gradcam", "integrated_gradients", "occlusion", "rise")
METRICS = ("deletion", "insertion", "infidelity", "mu_fidelity", "saco")
UNFIT = {"region", "again"}  # subjects that a data set of pictures alone does not give
CONTROLS = ("random", "centre", "edges", "inverted", "other class", "randomised model")


@dataclass(frozen=True)
class Plan:
    """Methods and metrics by name, baselines, cells along the shorter side on which all maps are judged alike,
    random maps for each null, the seed, and options of methods, {"rise": {"forwards": 500}}."""

    methods: tuple[str, ...] = METHODS
    metrics: tuple[str, ...] = METRICS
    baselines: tuple[str, ...] = ("blur", "mean")
    cells: int = 7
    orders: int = 19
    steps: int = 10
    seed: int = 0
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.methods and self.metrics and self.baselines) or self.cells < 4:
            raise LayoutError("a comparison of nothing", hint="a method, a metric, a baseline, and at least 4 cells")
        for name in self.baselines:
            Draw(self.orders, self.steps, name, self.seed)  # refuses what the banks cannot draw, before anything runs
        spelt = {name: registry.find("explainers", name).card.name for name in self.methods}
        for name, given in self.options.items():
            if name not in spelt and name not in spelt.values():
                raise MethodError(f"options of '{name}', which is not compared", hint=f"of {', '.join(self.methods)}")
            registry.find("explainers", name, given)
        cards = [registry.find("metrics", name).card for name in self.metrics]
        object.__setattr__(self, "methods", tuple(spelt.values()))
        object.__setattr__(self, "options", {spelt.get(name, name): dict(o) for name, o in self.options.items()})
        object.__setattr__(self, "metrics", tuple(card.name for card in cards))
        for card in cards:
            if unfit := sorted(UNFIT & set(card.subjects)):
                raise MethodError(
                    f"{card.name} asks for '{unfit[0]}', which pictures alone do not give",
                    hint=f"regard.score for one picture, or one of {', '.join(METRICS)}",
                )

    def seed_for(self, x: Tensor) -> int:
        """A seed of this picture's own: random maps, orders and masks that were the same for all pictures would not
        average out over them, and a map that happens to suit where photographers put things would pass for a finding.
        """
        picture = hashlib.sha256(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return (int.from_bytes(picture.digest()[:6], "big") + self.seed) % 2**31

    def fingerprint(self, model: nn.Module, x: Tensor) -> str:
        """Of all that decides a record: this plan, the version, the model's weights, the picture."""
        return digest((*model.state_dict().values(), x), asdict(self), __version__)[:16]
