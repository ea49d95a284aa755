"""Tiny random models of transformers that see: one tower, from one configuration."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from .variant import Forward, Variant, each, noise

Options = Callable[[Any], dict[str, Any]] | dict[str, Any]
Inputs = Callable[[], dict[str, Any]]
UNUSED = "softmax without a product with values"


def built(name: str, options: Options, inputs: Inputs, config: str, how: str | None) -> tuple[nn.Module, Forward]:
    """options may need the library itself, for configurations inside the configuration."""
    transformers = pytest.importorskip("transformers")
    settings = options(transformers) if callable(options) else options
    told = {} if how is None else {"attn_implementation": how}
    model = getattr(transformers, name)._from_config(getattr(transformers, config)(**settings), **told)
    fixed = inputs()
    return model, lambda: model(**fixed)


def hf(
    name: str,
    calls: int,
    options: Options,
    inputs: Inputs,
    *,
    config: str = "",
    how: str | None = None,
    told: dict[str, int] | None = None,
    gap: int = 0,
    why: str = "",
    mixed: bool = False,
) -> Variant:
    """config: where it is not the model's name with another end. how: the implementation asked for, not the default."""
    config = config or re.sub(r"(Model|For[A-Z]\w*)$", "Config", name)
    return Variant(partial(built, name, options, inputs, config, how), calls, told or {}, gap, why, mixed=mixed)


def picture(size: int = 32, count: int = 2) -> Inputs:
    return lambda: {"pixel_values": noise(count, 3, size, size)}


def video(name: str = "pixel_values") -> Inputs:
    return lambda: {name: noise(1, 4, 3, 32, 32)}


def points() -> dict[str, Any]:
    return {**picture(64, 1)(), "input_points": torch.tensor([[[[10.0, 12.0]]]])}


def patches() -> dict[str, Any]:
    """Pictures of 4 x 4 and 3 x 4 patches; the second is padded."""
    return {
        "pixel_values": noise(2, 16, 3 * 8 * 8),
        "pixel_attention_mask": (torch.arange(16) < torch.tensor([[16], [12]])).long(),
        "spatial_shapes": torch.tensor([[4, 4], [3, 4]]),
    }


WIDE: dict[str, Any] = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 64}
VIT: dict[str, Any] = {**WIDE, "image_size": 32, "patch_size": 8}
DEEP: dict[str, Any] = {**VIT, "num_hidden_layers": 4}
STAGES = ["stage1", "stage2", "stage3", "stage4"]
SWIN: dict[str, Any] = {
    "image_size": 32, "patch_size": 4, "embed_dim": 24, "depths": [2, 2], "num_heads": [3, 6], "window_size": 4,
}  # fmt: skip
PYRAMID: dict[str, Any] = {
    "image_size": 64, "depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32], "num_attention_heads": [1, 2, 3, 4],
}  # fmt: skip
SAM: dict[str, Any] = {
    "vision_config": {
        "hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 64,
        "patch_size": 8, "window_size": 3, "global_attn_indexes": [1], "mlp_dim": 48, "num_pos_feats": 8,
    },
    "prompt_encoder_config": {"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 8},
    "mask_decoder_config": {"hidden_size": 16, "num_attention_heads": 2, "mlp_dim": 32, "iou_head_hidden_dim": 16},
}  # fmt: skip
SAM2: dict[str, Any] = {
    "backbone_config": {
        "model_type": "sam2_hiera_det_model", "hidden_size": 16, "image_size": [64, 64],
        "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 4, 8], "window_size_per_stage": [8, 4, 4, 2],
        "global_attention_blocks": [3],
    },
    "backbone_channel_list": [128, 64, 32, 16], "fpn_hidden_size": 16,
    "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
}  # fmt: skip

HF: dict[str, Variant] = {
    "hf cvt": hf(  # its einsum is given the operands in a list
        "CvtModel",
        6,
        {"depth": [1, 2, 3], "embed_dim": [16, 32, 48], "num_heads": [1, 2, 3]},
        picture(64),
    ),
    "hf vit": hf("ViTModel", 2, VIT, picture(), how="sdpa"),
    "hf vit eager": hf("ViTModel", 2, VIT, picture(), how="eager"),
    "hf deit": hf("DeiTModel", 2, VIT, picture()),
    "hf vit msn": hf("ViTMSNModel", 2, VIT, picture()),
    "hf ijepa": hf("IJepaModel", 2, VIT, picture()),
    "hf dinov2": hf("Dinov2Model", 2, VIT, picture()),
    "hf dinov2 eager": hf("Dinov2Model", 2, VIT, picture(), how="eager"),
    "hf dinov2 with registers": hf("Dinov2WithRegistersModel", 2, VIT, picture()),
    "hf dinov3": hf("DINOv3ViTModel", 2, {**VIT, "num_register_tokens": 2}, picture()),
    "hf dinov3 eager": hf("DINOv3ViTModel", 2, {**VIT, "num_register_tokens": 2}, picture(), how="eager"),
    "hf beit": hf("BeitModel", 2, {**VIT, "use_relative_position_bias": True}, picture()),
    "hf beit eager": hf("BeitModel", 2, {**VIT, "use_shared_relative_position_bias": True}, picture(), how="eager"),
    "hf data2vec": hf("Data2VecVisionModel", 2, VIT, picture()),
    "hf yolos": hf("YolosModel", 2, {**VIT, "image_size": [32, 32], "num_detection_tokens": 5}, picture()),
    "hf aimv2 with pool": hf("Aimv2VisionModel", 3, VIT, picture()),
    "hf siglip 2 padded": hf(
        "Siglip2VisionModel", 3, {**WIDE, "patch_size": 8, "num_patches": 16}, patches
    ),  # and the pool
    "hf internvl vision": hf("InternVLVisionModel", 2, VIT, picture()),
    "hf flava vision": hf("FlavaImageModel", 2, VIT, picture()),
    "hf vitdet": hf("VitDetModel", 2, {**VIT, "window_size": 3, "window_block_indices": [0]}, picture()),
    "hf sam": hf("SamModel", 9, SAM, points),  # vision 2, and two blocks of 3 and a last one of the decoder
    "hf sam eager": hf("SamModel", 9, SAM, points, how="eager"),
    "hf sam2 vision": hf(
        "Sam2VisionModel",
        5,
        SAM2,
        picture(64, 1),
        told=each([f"backbone.blocks.{i}.attn" for i in range(5)], UNUSED),
        why="each block computes a softmax, over heads, that nothing uses",
    ),
    "hf swin": hf("SwinModel", 4, SWIN, picture()),
    "hf swin eager": hf("SwinModel", 4, SWIN, picture(), how="eager"),
    "hf swin v2": hf("Swinv2Model", 4, SWIN, picture()),
    "hf donut swin": hf("DonutSwinModel", 4, SWIN, picture()),
    "hf swin2sr": hf("Swin2SRModel", 4, {**SWIN, "patch_size": 1, "num_heads": [3, 3]}, picture()),
    "hf hiera": hf(
        "HieraModel",
        5,
        {"image_size": [96, 96], "embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]},
        picture(96),
    ),
    "hf segformer": hf("SegformerModel", 4, PYRAMID, picture(64)),
    "hf segformer eager": hf("SegformerModel", 4, PYRAMID, picture(64), how="eager"),
    "hf pvt": hf("PvtModel", 4, PYRAMID, picture(64)),
    "hf pvt v2": hf("PvtV2Model", 4, PYRAMID, picture(64)),
    "hf glpn": hf("GLPNForDepthEstimation", 4, {**PYRAMID, "decoder_hidden_size": 16}, picture(64)),
    "hf levit": hf(
        "LevitModel",
        5,  # three, and one at each of two steps down
        {
            "image_size": 64,
            "depths": [1, 1, 1],
            "hidden_sizes": [32, 48, 64],
            "num_attention_heads": [2, 3, 4],
            "key_dim": [8, 8, 8],
        },
        picture(64),
    ),
    "hf mobilevit": hf(
        "MobileViTModel",
        9,  # 2 + 4 + 3
        {
            "image_size": 64,
            "hidden_sizes": [24, 32, 48],
            "num_attention_heads": 4,
            "neck_hidden_sizes": [8, 8, 16, 24, 24, 32, 32],
        },
        picture(64),
    ),
    "hf mobilevit v2": hf(
        "MobileViTV2Model",
        0,
        {"image_size": 64, "width_multiplier": 0.5},
        picture(64),
        told=each(
            [
                f"encoder.layer.{i}.transformer.layer.{j}.attention"
                for i, n in ((2, 2), (3, 4), (4, 3))
                for j in range(n)
            ],
            UNUSED,
        ),
        why="linear attention: a softmax over positions that scales the keys, no matrix",
    ),
    "hf swiftformer": hf(
        "SwiftFormerModel",
        0,
        {"depths": [1, 1, 1, 1], "embed_dims": [8, 16, 24, 32]},
        picture(64),
        told=each([f"encoder.network.{i}.blocks.0.attn" for i in (0, 2, 4, 6)], UNUSED),
        why="additive attention: a softmax over positions that scales the queries, no matrix",
    ),
    "hf dpt": hf(
        "DPTForDepthEstimation",
        4,
        {
            **DEEP,
            "is_hybrid": False,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": [8, 8, 8, 8],
            "fusion_hidden_size": 8,
        },
        picture(),
    ),
    "hf depth anything": hf(
        "DepthAnythingForDepthEstimation",
        4,
        lambda library: {
            "backbone_config": library.Dinov2Config(**DEEP, out_features=STAGES, reshape_hidden_states=False),
            "patch_size": 8,
            "reassemble_hidden_size": 48,
            "neck_hidden_sizes": [8, 8, 8, 8],
            "fusion_hidden_size": 8,
            "head_hidden_size": 8,
        },
        picture(),
    ),
    "hf zoedepth": hf(
        "ZoeDepthForDepthEstimation",
        4,
        lambda library: {
            "backbone_config": library.BeitConfig(
                **DEEP, out_features=STAGES, reshape_hidden_states=False, use_relative_position_bias=True
            ),
            "neck_hidden_sizes": [8, 8, 8, 8],
            "fusion_hidden_size": 8,
            "bottleneck_features": 8,
            "bin_embedding_dim": 8,
            "num_attractors": [4, 2, 2, 1],
        },
        picture(),
        told={f"metric_head.conditional_log_binomial.log_binomial_transform: {UNUSED}": 1},
        why="its depth bins are a softmax over channels",
    ),
    "hf vitpose": hf(
        "VitPoseForPoseEstimation",
        2,
        {
            "backbone_config": {
                **VIT,
                "model_type": "vitpose_backbone",
                "image_size": [32, 32],
                "patch_size": [8, 8],
                "out_features": ["stage2"],
            },
            "num_labels": 4,
        },
        picture(),
    ),
    "hf eomt": hf(
        "EomtForUniversalSegmentation",
        2,
        {**VIT, "num_blocks": 1, "num_queries": 4, "num_upscale_blocks": 1},
        picture(),
    ),
    "hf videomae": hf("VideoMAEModel", 2, {**VIT, "num_frames": 4}, video()),
    "hf timesformer": hf("TimesformerModel", 4, {**VIT, "num_frames": 4}, video()),  # over time, and over space
    "hf vivit": hf("VivitModel", 2, {**WIDE, "image_size": 32, "num_frames": 4, "tubelet_size": [2, 8, 8]}, video()),
    "hf vjepa2": hf(
        "VJEPA2Model",
        4,  # encoder 2, predictor 2
        {
            **WIDE,
            "crop_size": 32,
            "patch_size": 8,
            "frames_per_clip": 4,
            "pred_hidden_size": 24,
            "pred_num_hidden_layers": 2,
            "pred_num_attention_heads": 2,
        },
        video("pixel_values_videos"),
    ),
    "hf perceiver": hf(
        "PerceiverModel",
        3,  # cross, and two of the latents
        {
            "num_latents": 6,
            "d_latents": 24,
            "d_model": 16,
            "num_blocks": 1,
            "num_self_attends_per_block": 2,
            "num_self_attention_heads": 4,
            "num_cross_attention_heads": 2,
        },
        lambda: {"inputs": noise(2, 10, 16)},
    ),
    "hf pix2struct vision": hf(
        "Pix2StructVisionModel",
        2,
        {
            "hidden_size": 48,
            "patch_embed_hidden_size": 48,
            "d_ff": 64,
            "d_kv": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "patch_size": 4,
            "seq_len": 16,
        },
        lambda: {"flattened_patches": noise(2, 9, 50).abs()},
    ),
    "hf mllama vision": hf(
        "MllamaVisionModel",
        4,  # two layers, and two global ones
        {
            "hidden_size": 48,
            "attention_heads": 3,
            "num_hidden_layers": 2,
            "num_global_layers": 2,
            "image_size": 32,
            "patch_size": 8,
            "intermediate_size": 64,
            "max_num_tiles": 1,
            "intermediate_layers_indices": [0],
            "vision_output_dim": 96,
            "supported_aspect_ratios": [[1, 1]],
        },
        lambda: {
            "pixel_values": noise(1, 1, 1, 3, 32, 32),
            "aspect_ratio_ids": torch.tensor([[1]]),
            "aspect_ratio_mask": torch.ones(1, 1, 1, dtype=torch.long),
        },
    ),
}
