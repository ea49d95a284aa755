"""The built-in oracles: models whose explanation is known, and which of them each explainer must pass.

The planted patch is a law and binds all; `MUST_PASS` names what an explainer passes beyond it: other oracles, or, where
none of them is about what it computes, the slow form of its own formula.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regard.registry import cards
from regard.testing.laws import LAWS

from .models import Linear, Net, draw, explained, slope, values

HERE = Path(__file__).resolve().parents[1]
LINEAR, BIAS_FREE, CONSERVED = "linear model", "bias-free ReLU network", "bias-free ViT"
ONE_LAYER = "one layer of attention"
SHAPLEY, ADDITIVE, SCAN, FOURIER = "exhaustive Shapley", "additive game", "hidden attention of a scan", "Fourier domain"
DROPPED, CAM, BLOB, OWN = "a masked key is a dropped token", "Grad-CAM is CAM", "planted blob", "its own slow form"
PIXELWISE = "test_of_a_linear_model_every_pixel_gets_its_weight_times_its_value"
CELLWISE = "test_of_a_linear_model_every_cell_gets_the_sum_of_its_pixels"
MUST_PASS: dict[str, dict[str, str]] = {  # the test's name in the explainer's own file, or in this one
    "ablationcam": {CAM: "test_for_a_linear_head_it_has_grad_cams_direction"},
    "attcat": {OWN: "test_is_tokens_times_gradients_weighted_by_attention"},
    "attention": {ONE_LAYER: "test_is_the_row_of_the_matrix"},
    "attention_flow": {ONE_LAYER: "test_of_one_layer_it_is_the_attention_itself"},
    "attention_relevance": {
        OWN: "test_is_the_row_of_relevance_handed_back_by_hand",
        CONSERVED: "test_a_network_without_biases_conserves_relevance",
    },
    "attention_x_gradient": {OWN: "test_is_attention_times_its_gradient"},
    "banzhaf": {LINEAR: CELLWISE, ADDITIVE: "test_additive_scores_are_exact_in_one_design_without_error"},
    "beyond_intuition": {OWN: "test_is_perception_times_feedback_on_explicit_matrices"},
    "bimodal_attribution": {OWN: "test_is_the_row_of_the_rules_written_out"},
    "cross_domain_ig": {LINEAR: PIXELWISE, FOURIER: "test_completeness_of_series"},
    "d_rise": {OWN: "test_equals_the_weighted_sum_of_similarities"},
    "deeplift": {LINEAR: PIXELWISE, BIAS_FREE: "test_of_a_bias_free_network_it_is_input_times_gradient"},
    "eigencam": {OWN: "test_is_the_projection_on_the_first_eigenvector"},
    "expected_gradients": {LINEAR: PIXELWISE},
    "extremal_perturbation": {BLOB: "test_each_mask_has_its_area_and_lies_on_the_blob"},
    "extrmask": {BLOB: "test_finds_the_points_that_count_and_leaves_the_others"},
    "fido": {BLOB: "test_both_games_find_the_blob_that_speaks_for_the_class"},
    "fullgrad": {BIAS_FREE: "test_of_a_bias_free_network_nothing_is_left_to_biases"},
    "gradcam": {CAM: "test_equals_cam_for_average_pooling_and_a_linear_head"},
    "gradcam_plus_plus": {OWN: "test_is_the_weighted_sum_of_equation_19_place_by_place"},
    "gradient": {LINEAR: "test_of_a_linear_model_it_is_the_absolute_weight"},
    "hirescam": {CAM: "test_is_grad_cam_where_gradients_are_constant"},
    "input_x_gradient": {
        LINEAR: PIXELWISE, BIAS_FREE: "test_sums_to_the_score_without_biases_and_tells_what_they_add",
        ONE_LAYER: "test_of_one_layer_of_attention_the_gradient_has_a_closed_form",
    },
    "integrated_gradients": {LINEAR: PIXELWISE},
    "kernel_shap": {LINEAR: CELLWISE, SHAPLEY: "test_all_coalitions_give_the_exhaustive_shapley_value"},
    "layercam": {CAM: "test_for_a_head_of_positive_weights_it_is_cam"},
    "legrad": {OWN: "test_is_the_positive_gradient_of_each_layers_own_score"},
    "lime": {LINEAR: "test_a_linear_score_gives_the_loss_of_each_segment"},
    "lrp": {
        BIAS_FREE: "test_epsilon_of_relus_without_biases_is_input_times_gradient",
        CONSERVED: "test_a_network_without_biases_conserves_the_score",
    },
    "mamba_attention": {SCAN: "test_is_the_row_of_the_explicit_rollout"},
    "meaningful_perturbation": {BLOB: "test_both_games_find_the_blob_that_speaks_for_the_class"},
    "normgrad": {OWN: "test_closed_forms_are_those_of_explicit_contributions"},
    "occlusion": {LINEAR: CELLWISE},
    "prompt_cam": {ONE_LAYER: "test_is_the_prompts_row_of_an_explicit_softmax"},
    "regional_multiscale": {OWN: "test_is_the_mean_over_scales_of_what_each_segment_carries_over_the_drawn_colours"},
    "rise": {OWN: "test_equals_the_explicit_weighted_sum"},
    "rollout": {ONE_LAYER: "test_uniform_attention_has_a_closed_form"},
    "salient_relevance": {BLOB: "test_is_what_stands_out_of_the_positive_relevance"},
    "sane": {OWN: "test_equals_the_weighted_sum_of_cosines_with_the_fixed_embedding"},
    "scorecam": {OWN: "test_is_the_softmax_of_explicit_masked_forwards"},
    "shapley_sampling": {LINEAR: CELLWISE, SHAPLEY: "test_unbiased_with_an_honest_error"},
    "smoothgrad": {LINEAR: "test_of_a_linear_model_noise_changes_nothing"},
    "smoothgrad_squared": {LINEAR: "test_of_a_linear_model_noise_changes_nothing"},
    "tis": {DROPPED: "test_is_the_weighted_mean_of_forwards_without_the_dropped_tokens"},
    "transformer_attribution": {OWN: "test_is_the_row_of_the_explicit_product"},
    "vargrad": {LINEAR: "test_a_linear_model_has_none"},
    "vit_cx": {OWN: "test_is_the_weighted_mean_of_impacts_of_explicit_forwards"},
    "xgradcam": {CAM: "test_for_a_head_of_positive_weights_it_is_cam"},
    "xrai": {OWN: "test_grows_regions_on_the_largest_channel_of_both_gradients"},
}  # fmt: skip
ELSEWHERE = {  # of the model itself, or of a way to judge
    "grid of pictures": ("subjects/test_mosaic.py", "test_the_grid_game_is_the_energy_in_a_piece"),
    "hidden attention of a scan": ("subjects/test_scan.py", "test_hidden_attention_times_input_is_the_scan"),
    "a masked key is a dropped token": ("subjects/test_drop.py", "test_equals_masked_keys"),
    "planted patch": ("laws/test_laws.py", "test_law"),
}


def named_in(file: str) -> set[str]:
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_explainer_names_the_oracles_that_it_must_pass() -> None:
    known = set(cards("explainers"))
    assert known == set(MUST_PASS), f"not in the index, or gone: {sorted(known ^ set(MUST_PASS))}"
    assert "explainers" in LAWS["planted"].families
    assert all(MUST_PASS.values())
    both = {one for named in MUST_PASS.values() for one in named}
    assert len(both & {LINEAR, BIAS_FREE, CONSERVED, ONE_LAYER, SHAPLEY, ADDITIVE, SCAN, FOURIER, DROPPED, CAM}) == 10


@pytest.mark.parametrize("name", MUST_PASS)
def test_the_oracle_is_tested_where_it_is_said_to_be(name: str) -> None:
    there = named_in(f"explainers/test_{name}.py") | named_in("explainers/test_oracles.py")
    for oracle, test in MUST_PASS[name].items():
        assert test in there, f"{oracle} of {name}: {test}"
        assert test not in (PIXELWISE, CELLWISE) or name in {PIXELWISE: PIXELS, CELLWISE: CELLS}[test]


@pytest.mark.parametrize("oracle", ELSEWHERE)
def test_the_model_is_tested_where_it_is_said_to_be(oracle: str) -> None:
    file, name = ELSEWHERE[oracle]
    assert name in named_in(file)


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


@pytest.mark.parametrize("name", ["smoothgrad", "smoothgrad_squared"])
def test_of_a_linear_model_noise_changes_nothing(name: str) -> None:
    model, x = Linear((3, 6, 6)), draw(2, 3, 6, 6, seed=8)
    weight = model.weight[1].detach()
    wanted = weight.abs().amax(0) if name == "smoothgrad" else weight.square().sum(0)
    torch.testing.assert_close(values(explained(model, x, name, samples=3)), wanted.expand(2, -1, -1))


class Average(nn.Module):
    """A convolution, global average pooling and a linear head of positive weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.skip_init(nn.Conv2d, 3, 4, 1, bias=False)
        self.conv.weight = nn.Parameter(draw(4, 3, 1, 1, seed=1).abs())
        self.head = nn.Parameter(draw(3, 4, seed=2).abs())

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean((2, 3)) @ self.head.T


@pytest.mark.parametrize("name", ["layercam", "xgradcam", "gradcam", "hirescam"])
def test_for_a_head_of_positive_weights_it_is_cam(name: str) -> None:
    model, x = Average(), draw(2, 3, 6, 5, seed=3)
    wanted = torch.einsum("k,bkhw->bhw", model.head[1], model.conv(x)).detach() / 30
    torch.testing.assert_close(values(explained(model, x, name)), wanted)


def test_of_a_bias_free_network_nothing_is_left_to_biases() -> None:
    model, x = Net(bias=False), draw(2, 3, 9, 8)
    made = values(explained(model, x, "fullgrad", scale="none"))
    torch.testing.assert_close(made, (x * slope(model, x)).abs().sum(1))
