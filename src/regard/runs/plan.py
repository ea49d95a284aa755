"""`Plan`: what is compared on each picture, and the fingerprint that tells whether it was done before."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

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
    random maps for each null, and the seed."""

    methods: tuple[str, ...] = METHODS
    metrics: tuple[str, ...] = METRICS
    baselines: tuple[str, ...] = ("blur", "mean")
    cells: int = 7
    orders: int = 19
    steps: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.methods and self.metrics and self.baselines) or self.cells < 4:
            raise LayoutError("a comparison of nothing", hint="a method, a metric, a baseline, and at least 4 cells")
        for name in self.baselines:
            Draw(self.orders, self.steps, name, self.seed)  # refuses what the banks cannot draw, before anything runs
        for name in self.methods:
            registry.find("explainers", name)
        for name in self.metrics:
            card = registry.find("metrics", name).card
            if unfit := sorted(UNFIT & set(card.subjects)):
                raise MethodError(
                    f"{name} asks for '{unfit[0]}', which pictures alone do not give",
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
