"""Tiny random models of diffusers, one denoising step each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from .variant import Forward, Variant, noise

STEP = torch.tensor([3])


def built(name: str, options: dict[str, Any], inputs: Callable[[], dict[str, Any]]) -> tuple[nn.Module, Forward]:
    diffusers = pytest.importorskip("diffusers")
    model = getattr(diffusers, name)(**options)
    fixed = inputs()
    return model, lambda: model(**fixed, return_dict=False)


def make(name: str, calls: int, options: dict[str, Any], *parts: str, **inputs: Any) -> Variant:
    """parts: which of the inputs most models share; a hidden state is a picture unless given otherwise."""

    def given() -> dict[str, Any]:
        shared = {
            "hidden_states": noise(1, 4, 8, 8),
            "timestep": STEP,
            "encoder_hidden_states": noise(1, 5, 12),
            "pooled_projections": noise(1, 10),
            "encoder_attention_mask": torch.tensor([[1, 1, 1, 0, 0]]),
        }
        return {**{name: shared[name] for name in parts}, **inputs}

    return Variant(partial(built, name, options, given), calls)


UNET: dict[str, Any] = {
    "sample_size": 8, "layers_per_block": 1, "block_out_channels": (8, 16), "norm_num_groups": 4,
    "cross_attention_dim": 12, "attention_head_dim": 4,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}  # fmt: skip

PLAIN: dict[str, Any] = {
    "sample_size": 8, "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4,
    "attention_head_dim": 4, "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}  # fmt: skip


def unet_inputs() -> dict[str, Any]:
    return {"sample": noise(1, 4, 8, 8), "timestep": STEP, "encoder_hidden_states": noise(1, 7, 12)}


def unet(processor: str | None, mask: bool = False) -> tuple[nn.Module, Forward]:
    attention = pytest.importorskip("diffusers.models.attention_processor")
    inputs = unet_inputs()
    if mask:
        inputs["encoder_attention_mask"] = torch.arange(7)[None] < 5
    model, forward = built("UNet2DConditionModel", UNET, lambda: inputs)
    if processor == "sliced":
        model.set_attention_slice(1)
    elif processor is not None:
        model.set_attn_processor(getattr(attention, processor)())
    return model, forward


PATCHED: dict[str, Any] = {
    "sample_size": 8, "patch_size": 2, "in_channels": 4, "num_attention_heads": 2, "attention_head_dim": 8,
}  # fmt: skip
JOINT: dict[str, Any] = {
    **PATCHED, "out_channels": 4, "joint_attention_dim": 12, "caption_projection_dim": 16, "pos_embed_max_size": 16,
}  # fmt: skip
SD3: dict[str, Any] = {**JOINT, "num_layers": 2, "pooled_projection_dim": 10}
FLUX: dict[str, Any] = {
    "patch_size": 1, "in_channels": 4, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 8,
    "num_attention_heads": 2, "joint_attention_dim": 12, "pooled_projection_dim": 10, "axes_dims_rope": (2, 2, 4),
}  # fmt: skip
WAN: dict[str, Any] = {
    "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4, "out_channels": 4,
    "text_dim": 12, "freq_dim": 8, "ffn_dim": 16, "num_layers": 2, "rope_max_seq_len": 16,
}  # fmt: skip
VAE: dict[str, Any] = {
    "block_out_channels": (8, 16), "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2, "layers_per_block": 1, "norm_num_groups": 4, "latent_channels": 4,
}  # fmt: skip
SANA: dict[str, Any] = {
    **PATCHED, "patch_size": 1, "out_channels": 4, "num_layers": 2, "num_cross_attention_heads": 2,
    "cross_attention_head_dim": 8, "cross_attention_dim": 16, "caption_channels": 12,
}  # fmt: skip
COGVIDEO: dict[str, Any] = {
    "num_attention_heads": 2, "attention_head_dim": 8, "in_channels": 4, "out_channels": 4, "time_embed_dim": 4,
    "text_embed_dim": 12, "num_layers": 2, "sample_width": 8, "sample_height": 8, "sample_frames": 5, "patch_size": 2,
    "max_text_seq_length": 5,
}  # fmt: skip
LTX: dict[str, Any] = {
    "in_channels": 4, "out_channels": 4, "num_attention_heads": 2, "attention_head_dim": 8, "cross_attention_dim": 16,
    "num_layers": 2, "caption_channels": 12,
}  # fmt: skip
PRIOR: dict[str, Any] = {
    "num_attention_heads": 2, "attention_head_dim": 4, "num_layers": 2, "embedding_dim": 8, "num_embeddings": 7,
    "additional_embeddings": 4,
}  # fmt: skip
USUAL = ("hidden_states", "timestep", "encoder_hidden_states")
SITES = ["down_blocks.0.attentions.0", "mid_block.attentions.0", "up_blocks.1.attentions.0", "up_blocks.1.attentions.1"]


# The UNet: one block down, one in the middle, two up, each self and cross. The transformers: two layers.
DIFFUSERS: dict[str, Variant] = {
    "diffusers unet": Variant(partial(unet, None), 8),
    "diffusers unet masked": Variant(partial(unet, None, True), 8),
    "diffusers unet by hand": Variant(partial(unet, "AttnProcessor"), 8),
    "diffusers unet sliced": Variant(partial(unet, "sliced"), 32),  # four heads one after another, each a call
    "diffusers unet without text": make("UNet2DModel", 4, PLAIN, "timestep", sample=noise(1, 3, 8, 8)),
    "diffusers dit": make(
        "DiTTransformer2DModel",
        2,
        {**PATCHED, "num_layers": 2, "num_embeds_ada_norm": 10, "norm_num_groups": 4},
        *USUAL[:2],
        class_labels=torch.tensor([1]),
    ),
    "diffusers sd3": make("SD3Transformer2DModel", 2, SD3, *USUAL, "pooled_projections"),
    "diffusers sd3.5": make(
        "SD3Transformer2DModel",
        3,  # the first layer also looks at the picture alone
        {**SD3, "dual_attention_layers": (0,), "qk_norm": "rms_norm"},
        *USUAL,
        "pooled_projections",
    ),
    "diffusers flux": make(
        "FluxTransformer2DModel",
        2,  # one double, one single
        FLUX,
        *USUAL,
        "pooled_projections",
        hidden_states=noise(1, 16, 4),
        img_ids=torch.zeros(16, 3),
        txt_ids=torch.zeros(5, 3),
    ),
    "diffusers pixart": make(
        "PixArtTransformer2DModel",
        4,
        {
            **PATCHED,
            "out_channels": 8,
            "num_layers": 2,
            "cross_attention_dim": 16,
            "caption_channels": 12,
            "use_additional_conditions": False,
            "norm_num_groups": 4,
        },
        *USUAL,
        "encoder_attention_mask",
        added_cond_kwargs={"resolution": None, "aspect_ratio": None},
    ),
    "diffusers wan": make("WanTransformer3DModel", 4, WAN, *USUAL, hidden_states=noise(1, 4, 2, 8, 8)),
    "diffusers sana": make("SanaTransformer2DModel", 2, SANA, *USUAL),  # cross; with itself it is linear, by relu
    "diffusers cogvideo": make("CogVideoXTransformer3DModel", 2, COGVIDEO, *USUAL, hidden_states=noise(1, 2, 4, 8, 8)),
    "diffusers auraflow": make(
        "AuraFlowTransformer2DModel", 2, {**JOINT, "num_mmdit_layers": 1, "num_single_dit_layers": 1}, *USUAL
    ),
    "diffusers ltx": make(
        "LTXVideoTransformer3DModel",
        4,
        LTX,
        *USUAL,
        "encoder_attention_mask",
        hidden_states=noise(1, 16, 4),
        num_frames=1,
        height=4,
        width=4,
    ),
    "diffusers prior": make(
        "PriorTransformer",
        2,
        PRIOR,
        "timestep",
        hidden_states=noise(1, 8),
        proj_embedding=noise(1, 8),
        encoder_hidden_states=noise(1, 7, 8),
        attention_mask=torch.ones(1, 7),
    ),
    "diffusers vae": make("AutoencoderKL", 2, VAE, sample=noise(1, 3, 16, 16)),  # encoder and decoder
    "diffusers vq": make("VQModel", 2, {**VAE, "num_vq_embeddings": 8}, sample=noise(1, 3, 16, 16)),
}
