"""All variants of the zoo, by name."""

from __future__ import annotations

from .diffusers_models import DIFFUSERS
from .hf_detectors import DETECTORS
from .hf_models import HF
from .hf_talkers import TALKERS
from .timm_models import TIMM
from .torchvision_models import TORCHVISION
from .variant import Variant

TABLES: tuple[dict[str, Variant], ...] = (TIMM, TORCHVISION, HF, DETECTORS, TALKERS, DIFFUSERS)
ZOO: dict[str, Variant] = {name: variant for table in TABLES for name, variant in table.items()}
