"""On EfficientNet-lite0 the composited object is found by every explainer that is named here: the pointing game."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from torch import nn

import regard as rg
from regard.registry import cards

from .evidence import Mask, evidence, held

PIXELS = 15  # the pointing game's tolerance
CHEAP: dict[str, dict[str, Any]] = {
    "gradcam": {}, "gradcam_plus_plus": {}, "hirescam": {}, "layercam": {}, "xgradcam": {}, "eigencam": {},
    "normgrad": {}, "fullgrad": {}, "gradient": {}, "input_x_gradient": {}, "deeplift": {}, "lrp": {},
    "salient_relevance": {"side": 28}, "integrated_gradients": {"steps": 8}, "smoothgrad": {"samples": 8},
    "smoothgrad_squared": {"samples": 8}, "vargrad": {"samples": 8}, "expected_gradients": {"samples": 8},
    "cross_domain_ig": {"steps": 8},
}  # fmt: skip
DEAR: dict[str, dict[str, Any]] = {
    "occlusion": {"cells": 7}, "banzhaf": {"cells": 5}, "rise": {"forwards": 96},
    "lime": {"forwards": 150, "segments": 30}, "kernel_shap": {"cells": 5, "forwards": 96},
    "shapley_sampling": {"cells": 5, "orders": 4}, "regional_multiscale": {"scales": 2, "samples": 1},
    "meaningful_perturbation": {"steps": 40}, "ablationcam": {}, "xrai": {"steps": 8},
}  # fmt: skip
ON_TOKENS = "tests/works/test_planted_evidence.py"
ELSEWHERE = {
    "attention": ON_TOKENS, "transformer_attribution": ON_TOKENS, "attention_x_gradient": ON_TOKENS,
    "attention_relevance": ON_TOKENS, "attcat": ON_TOKENS,
    "d_rise": "tests/works/test_d_rise.py", "sane": "tests/works/test_sane.py",
    "extrmask": "tests/works/test_extrmask.py", "mamba_attention": "tests/works/test_mamba_hidden_attention.py",
    "fido": "tests/works/test_fido_counterfactual.py", "prompt_cam": "tests/works/test_prompt_cam.py",
}  # fmt: skip

NOT_SHOWN = {  # on these composites; the planted patch of the laws is found by all
    "scorecam": "its peak lies on the object in 2 of 3 at blocks.2, as often as the centre",
    "extremal_perturbation": "too dear to try here",
    "vit_cx": "too dear to try here",
    "bimodal_attribution": "of one stream it is transformer_attribution, which is tried",
    "rollout": "on DINOv2 its peak lies on the object in 3 of 18",
    "legrad": "on DINOv2 its peak lies on the object in 11 of 18",
    "beyond_intuition": "not tried",
    "tis": "not tried",
    "attention_flow": "not tried",
}


def near(mask: Mask) -> Mask:
    return ndimage.distance_transform_edt(~mask) <= PIXELS


def test_every_explainer_is_tried_on_evidence_that_lies_somewhere() -> None:
    assert set(cards("explainers")) == {*CHEAP, *DEAR, *ELSEWHERE, *NOT_SHOWN}


def pointed(model: nn.Module, name: str, options: dict[str, Any], items: list[Any]) -> list[bool]:
    """Whether the map's peak lies within 15 pixels of the object, for each picture."""
    method = partial(getattr(rg.explainers, name), **options)
    site = "blocks.2" if name == "ablationcam" else None  # 40 channels instead of 320
    return [
        held(rg.explain(model, x, method=method, target=group, site=site), near(mask))[1] for x, group, mask in items
    ]


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize(("methods", "step"), [(CHEAP, 2), (DEAR, 4)], ids=["gradients", "forwards"])
def test_the_object_is_found_where_it_is(efficientnet: nn.Module, methods: dict[str, Any], step: int) -> None:
    """Every second, or of the dear ones every fourth, of 12 composites: the peak lies on the object in each (the
    centre: in 3 of 6, and in 2 of 3).
    """
    items = list(evidence(efficientnet))[::step]
    centre = np.mean([near(mask)[mask.shape[0] // 2, mask.shape[1] // 2] for *_, mask in items])
    for name, options in methods.items():
        found = pointed(efficientnet, name, options, items)
        assert np.mean(found) > centre + 0.3, f"{name}: {found}"
        assert all(found), f"{name}: {found}"
