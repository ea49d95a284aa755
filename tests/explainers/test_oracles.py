"""The built-in oracles: models whose explanation is known, and which tests hold explainers to them.

Of twelve, conservation of relevance in a ViT without biases is missing: no method here propagates relevance by rules.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from .models import Linear, draw, explained, values

HERE = Path(__file__).resolve().parents[1]
ELSEWHERE = {
    "bias-free ReLU network": (
        ("explainers/test_input_x_gradient.py", "test_sums_to_the_score_without_biases_and_tells_what_they_add"),
        ("explainers/test_deeplift.py", "test_of_a_bias_free_network_it_is_input_times_gradient"),
    ),
    "exhaustive Shapley values": (
        ("explainers/test_kernel_shap.py", "test_all_coalitions_give_the_exhaustive_shapley_value"),
        ("explainers/test_shapley_sampling.py", "test_unbiased_with_an_honest_error"),
    ),
    "additive game": (("explainers/test_banzhaf.py", "test_additive_scores_are_exact_in_one_design_without_error"),),
    "grid of pictures": (("subjects/test_mosaic.py", "test_the_grid_game_is_the_energy_in_a_piece"),),
    "planted patch": (("laws/test_laws.py", "test_law"),),
    "hidden attention of a scan": (("subjects/test_scan.py", "test_hidden_attention_times_input_is_the_scan"),),
    "completeness in the Fourier domain": (("explainers/test_cross_domain_ig.py", "test_completeness_of_series"),),
    "a masked key is a dropped token": (("subjects/test_drop.py", "test_equals_masked_keys"),),
    "Grad-CAM is CAM": (("explainers/test_gradcam.py", "test_equals_cam_for_average_pooling_and_a_linear_head"),),
}


@pytest.mark.parametrize("oracle", ELSEWHERE)
def test_the_oracle_is_tested_where_it_is_said_to_be(oracle: str) -> None:
    for file, name in ELSEWHERE[oracle]:
        tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


PIXELS: dict[str, dict[str, Any]] = {
    "input_x_gradient": {},
    "integrated_gradients": {"baseline": "black", "steps": 2},
    "deeplift": {"baseline": "black"},
    "expected_gradients": {"baseline": "black", "samples": 4},
    "cross_domain_ig": {"baseline": "black", "steps": 2},
}
CELLS: dict[str, dict[str, Any]] = {
    "occlusion": {"cells": 3, "baseline": "black"},
    "kernel_shap": {"cells": 2, "baseline": "black"},
    "shapley_sampling": {"cells": 3, "baseline": "black", "orders": 2},
    "banzhaf": {"cells": 3, "baseline": "black"},
}


@pytest.mark.parametrize("name", PIXELS)
def test_of_a_linear_model_every_pixel_gets_its_weight_times_its_value(name: str) -> None:
    model, x = Linear((3, 6, 6)), draw(2, 3, 6, 6, seed=8)
    wanted = (model.weight[1] * x).sum(1).detach()
    torch.testing.assert_close(values(explained(model, x, name, **PIXELS[name])), wanted)


@pytest.mark.parametrize("name", CELLS)
def test_of_a_linear_model_every_cell_gets_the_sum_of_its_pixels(name: str) -> None:
    model, x, side = Linear((3, 6, 6)), draw(2, 3, 6, 6, seed=8), CELLS[name]["cells"]
    carried = (model.weight[1] * x).sum(1).detach()
    wanted = carried.unflatten(1, (side, -1)).unflatten(3, (side, -1)).sum((2, 4))
    torch.testing.assert_close(values(explained(model, x, name, **CELLS[name])), wanted)


class OneLayer(nn.Module):
    """f = mean_h w . sum_t alpha_ht v_ht for a fixed query; input `[B, D, T]`: an embedding for each token."""

    def __init__(self, width: int = 5, heads: int = 3, head: int = 4) -> None:
        super().__init__()
        self.q, self.k, self.v = (
            draw(heads, head, seed=1),
            draw(heads, head, width, seed=2),
            draw(heads, 2, width, seed=3),
        )
        self.w = draw(2, seed=4)

    def parts(self, e: Tensor) -> tuple[Tensor, Tensor]:
        """alpha `[B, H, T]` and w . v `[B, H, T]`."""
        logits = torch.einsum("hd,hdc,bct->bht", self.q, self.k, e) / self.q.shape[1] ** 0.5
        return logits.softmax(-1), torch.einsum("j,hjc,bct->bht", self.w, self.v, e)

    def forward(self, e: Tensor) -> Tensor:
        alpha, wv = self.parts(e)
        y = (alpha * wv).sum(-1).mean(1)
        return torch.stack([-y, y], 1)


def test_of_one_layer_of_attention_the_gradient_has_a_closed_form() -> None:
    """df/de_t = mean_h alpha_t [W_v^T w + (W_k^T q / sqrt d) (w . v_t - sum_s alpha_s w . v_s)]."""
    model, e = OneLayer(), draw(2, 5, 7, seed=9)
    alpha, wv = model.parts(e)
    spread = wv - (alpha * wv).sum(-1, keepdim=True)
    direct = torch.einsum("bht,j,hjc->bhct", alpha, model.w, model.v)
    moved = torch.einsum("bht,hd,hdc->bhct", alpha * spread, model.q, model.k) / model.q.shape[1] ** 0.5
    slope = (direct + moved).mean(1)
    torch.testing.assert_close(values(explained(model, e, "input_x_gradient")), e * slope)
    without = e * direct.mean(1)  # the planted fault: attention held fixed, as if its weights were the explanation
    assert (values(explained(model, e, "input_x_gradient")) - without).abs().max() > 0.1
