"""Tiny random models of transformers that find things in pictures: a convolutional or window backbone, queries."""

from __future__ import annotations

from typing import Any

from .hf_models import STAGES, UNUSED, hf, picture
from .hf_talkers import TEXT, text
from .variant import Variant, each

SAMPLED = "deformable attention: its softmax weighs sampled points, and there is no matrix over positions"
DETR: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "num_queries": 5, "num_labels": 3,
}  # fmt: skip
RT_DETR: dict[str, Any] = {
    "encoder_hidden_dim": 32, "d_model": 32, "num_queries": 5, "encoder_layers": 1, "decoder_layers": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_in_channels": [16, 24, 32], "decoder_in_channels": [32, 32, 32], "num_labels": 3, "num_denoising": 0,
}  # fmt: skip
RESNET: dict[str, Any] = {
    "embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "layer_type": "basic",
}  # fmt: skip
WINDOWS: dict[str, Any] = {
    "image_size": 64, "embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 3, 4], "window_size": 4,
    "out_features": STAGES,
}  # fmt: skip
MASKS: dict[str, Any] = {
    "feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "encoder_feedforward_dim": 16, "encoder_layers": 1,
    "decoder_layers": 3, "num_attention_heads": 4, "dim_feedforward": 16, "num_queries": 5,
}  # fmt: skip
GROUNDED: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_queries": 5,
    "num_feature_levels": 4, "disable_custom_kernels": True, "max_text_len": 20,
}  # fmt: skip


def on_resnet(library: Any) -> dict[str, Any]:
    return {**DETR, "backbone_config": library.ResNetConfig(**RESNET, out_features=["stage4"])}


def with_anchors(library: Any) -> dict[str, Any]:
    return {**on_resnet(library), "hidden_size": 32}


def on_three_levels(library: Any) -> dict[str, Any]:
    backbone = library.ResNetConfig(**RESNET, out_features=STAGES[1:])
    return {**DETR, "backbone_config": backbone, "encoder_n_points": 2, "decoder_n_points": 2, "num_feature_levels": 3}


def in_real_time(library: Any) -> dict[str, Any]:
    return {**RT_DETR, "backbone_config": library.RTDetrResNetConfig(**RESNET, out_features=STAGES[1:])}


def masks(library: Any) -> dict[str, Any]:
    return {**MASKS, "backbone_config": library.SwinConfig(**WINDOWS)}


def old_masks(library: Any) -> dict[str, Any]:
    decoder = library.DetrConfig(**on_resnet(library))
    backbone = library.SwinConfig(**WINDOWS)
    return {"backbone_config": backbone, "fpn_feature_size": 32, "mask_feature_size": 32, "decoder_config": decoder}


def grounded(library: Any) -> dict[str, Any]:
    words = {**TEXT, "model_type": "bert"}
    return {**GROUNDED, "backbone_config": library.SwinConfig(**WINDOWS), "text_config": words}


def decoder_samples(prefix: str = "model.") -> dict[str, int]:
    return each([f"{prefix}decoder.layers.{i}.encoder_attn" for i in (0, 1)], UNUSED)


# Six calls: two of the encoder, and self and cross of two decoder layers.
DETECTORS: dict[str, Variant] = {
    "hf detr": hf("DetrForObjectDetection", 6, on_resnet, picture(64)),
    "hf detr eager": hf("DetrForObjectDetection", 6, on_resnet, picture(64), how="eager"),
    "hf table transformer": hf("TableTransformerModel", 6, on_resnet, picture(64)),
    "hf conditional detr": hf("ConditionalDetrForObjectDetection", 6, on_resnet, picture(64)),
    "hf dab detr": hf("DabDetrModel", 6, with_anchors, picture(64)),
    "hf deformable detr": hf(
        "DeformableDetrForObjectDetection",
        2,  # self-attention of the decoder
        on_three_levels,
        picture(64),
        told=each([f"model.encoder.layers.{i}.self_attn" for i in (0, 1)], UNUSED) | decoder_samples(),
        why=SAMPLED,
    ),
    "hf rt detr": hf(  # one of the encoder, two of the decoder
        "RTDetrForObjectDetection", 3, in_real_time, picture(64), told=decoder_samples(), why=SAMPLED
    ),
    "hf rt detr v2": hf(
        "RTDetrV2ForObjectDetection", 3, in_real_time, picture(64), told=decoder_samples(), why=SAMPLED
    ),
    "hf mask2former": hf(
        "Mask2FormerModel",
        8,  # four of the backbone, and self and cross of two decoder layers (the third is the first prediction)
        masks,
        picture(64),
        told={f"pixel_level_module.decoder.encoder.layers.0.self_attn: {UNUSED}": 1},
        why=SAMPLED,
    ),
    "hf maskformer": hf("MaskFormerModel", 8, old_masks, picture(64)),  # four of the backbone, and four
    "hf grounding dino": hf(
        "GroundingDinoModel",
        11,  # backbone 4, words 2, their fusion in two directions, words again 1, decoder 2
        grounded,
        lambda: {**picture(64)(), **text()},
        told=each(["encoder.layers.0.deformable_layer.self_attn", "decoder.layers.0.encoder_attn"], UNUSED),
        why=SAMPLED,
    ),
}
