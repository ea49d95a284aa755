"""Tiny random models of transformers that read: text alone, or with pictures."""

from __future__ import annotations

from typing import Any

import torch

from .hf_models import UNUSED, VIT, hf, picture
from .variant import Variant, noise, tokens

IMAGE = 59  # the last of 60 tokens stands for a piece of the picture

TEXT: dict[str, Any] = {
    "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 64, "vocab_size": 60,
    "max_position_embeddings": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GROUPED: dict[str, Any] = {  # two heads of keys for four of queries
    **TEXT,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
TURNED: dict[str, Any] = {
    **GROUPED,
    "rope_parameters": {"rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 1e4},
}
QFORMER: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 60,
    "encoder_hidden_size": 48, "cross_attention_frequency": 2,
}  # fmt: skip
OPT: dict[str, Any] = {
    "model_type": "opt", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64,
    "vocab_size": 60, "max_position_embeddings": 64, "word_embed_proj_dim": 48, "pad_token_id": 1,
}  # fmt: skip
TWO_TOWERS: dict[str, Any] = {"vision_config": VIT, "text_config": TEXT, "projection_dim": 16}
LLAVA: dict[str, Any] = {
    "vision_config": {**VIT, "model_type": "clip_vision_model"},
    "text_config": {**GROUPED, "model_type": "llama"},
    "image_token_id": IMAGE,
}
QWEN_VISION: dict[str, Any] = {"depth": 2, "hidden_size": 48, "num_heads": 4, "patch_size": 14}
QWEN_IDS: dict[str, Any] = {"vision_start_token_id": 55, "vision_end_token_id": 56, "image_token_id": 57}
QWEN2: dict[str, Any] = {
    "vision_config": {**QWEN_VISION, "embed_dim": 48, "mlp_ratio": 2}, "text_config": TURNED, **QWEN_IDS,
}  # fmt: skip
QWEN25: dict[str, Any] = {
    "vision_config": {
        **QWEN_VISION,
        "out_hidden_size": 48,
        "intermediate_size": 64,
        "window_size": 56,
        "fullatt_block_indexes": [1],
    },
    "text_config": TURNED,
    **QWEN_IDS,
}
QWEN3: dict[str, Any] = {
    "vision_config": {
        **QWEN_VISION,
        "out_hidden_size": 48,
        "intermediate_size": 64,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    },
    "text_config": {**TURNED, "head_dim": 12},
    **QWEN_IDS,
}
SIGLIP: dict[str, Any] = {**VIT, "model_type": "siglip_vision_model"}
GEMMA: dict[str, Any] = {**GROUPED, "head_dim": 12}
GEMMA3: dict[str, Any] = {
    "vision_config": SIGLIP,
    "text_config": {
        **GEMMA,
        "model_type": "gemma3_text",
        "sliding_window": 4,
        "query_pre_attn_scalar": 12,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "mm_tokens_per_image": 4,
    "image_token_id": IMAGE,
}
BLIP2: dict[str, Any] = {
    "vision_config": VIT, "qformer_config": QFORMER, "text_config": OPT, "num_query_tokens": 4,
    "image_token_index": IMAGE,
}  # fmt: skip
GROUPVIT: dict[str, Any] = {
    "vision_config": {
        **VIT,
        "num_hidden_layers": 4,
        "depths": [2, 1, 1],
        "num_group_tokens": [4, 2, 0],
        "num_output_groups": [4, 2, 0],
    },
    "text_config": TEXT,
    "projection_dim": 16,
    "projection_intermediate_dim": 32,
}


def text() -> dict[str, Any]:
    """Two texts; the second is padded at the end."""
    mask = torch.ones(2, 6, dtype=torch.long)
    mask[1, 4:] = 0
    return {"input_ids": tokens(2, 6, below=60), "attention_mask": mask}


def both() -> dict[str, Any]:
    return {**picture()(), **text()}


def laid_out() -> dict[str, Any]:
    return {**both(), "bbox": torch.zeros(2, 6, 4, dtype=torch.long)}


def answers() -> dict[str, Any]:
    return {**text(), "decoder_input_ids": tokens(2, 4, below=60)}


def prompt(pieces: int, count: int = 2, size: int = 32) -> dict[str, Any]:
    """Pictures in `pieces` tokens each, among words; the second text is padded at the start."""
    ids = tokens(count, pieces + 6, below=50)
    ids[:, 2 : 2 + pieces] = IMAGE
    mask = torch.ones_like(ids)
    mask[1:, :2] = 0
    return {"input_ids": ids, "attention_mask": mask, "pixel_values": noise(count, 3, size, size)}


def gemma_prompt() -> dict[str, Any]:
    inputs = prompt(4)
    return {**inputs, "token_type_ids": (inputs["input_ids"] == IMAGE).long()}


def one_picture_in_tiles() -> dict[str, Any]:
    inputs = prompt(4, 1)
    return {**inputs, "pixel_values": inputs["pixel_values"][None]}


def with_question() -> dict[str, Any]:
    return {**prompt(4), "qformer_input_ids": tokens(2, 5, below=50)}


def qwen_prompt() -> dict[str, Any]:
    """A picture of 4 x 4 patches in each of two texts; four patches are one token."""
    ids = tokens(2, 12, below=50)
    ids[:, 2], ids[:, 3:7], ids[:, 7] = 55, 57, 56
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": noise(32, 3 * 2 * 14 * 14),
        "image_grid_thw": torch.tensor([[1, 4, 4], [1, 4, 4]]),
        "mm_token_type_ids": (ids == 57).int(),
    }


TALKERS: dict[str, Variant] = {
    "hf gpt oss": hf(
        "GptOssModel",
        2,
        {**GEMMA, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 4},
        text,
        gap=2,
        mixed=True,
        why="the gap is the choice of experts, a softmax of two axes; rows lack the sink's share, which is cut off",
    ),
    "hf clip": hf("CLIPModel", 4, TWO_TOWERS, both),
    "hf clip eager": hf("CLIPModel", 4, TWO_TOWERS, both, how="eager"),
    "hf siglip": hf(
        "SiglipModel", 5, {"vision_config": VIT, "text_config": {**TEXT, "projection_size": 48}}, both
    ),  # and the pool
    "hf owlvit": hf("OwlViTModel", 4, TWO_TOWERS, both),
    "hf clipseg": hf(
        "CLIPSegForImageSegmentation",
        6,  # two towers of two, and two of the decoder
        {
            **TWO_TOWERS,
            "extract_layers": [0, 1],
            "reduce_dim": 16,
            "decoder_num_attention_heads": 4,
            "decoder_intermediate_size": 32,
        },
        both,
    ),
    "hf groupvit": hf(
        "GroupViTModel",
        8,  # vision 4, text 2, and two of groups before they are assigned
        GROUPVIT,
        both,
        told={f"vision_model.encoder.stages.{i}.downsample.assign: {UNUSED}": 2 for i in (0, 1)},
        why="patches are assigned to groups: a softmax over the groups, made one-hot, and noise beside it",
    ),
    "hf blip": hf(
        "BlipForImageTextRetrieval",
        6,  # vision 2, and self and cross of two text layers
        {"vision_config": VIT, "text_config": {**TEXT, "encoder_hidden_size": 48}, "image_text_hidden_size": 16},
        both,
        config="BlipConfig",
    ),
    "hf blip 2": hf("Blip2ForConditionalGeneration", 7, BLIP2, lambda: prompt(4)),  # 2, self 2 and cross 1, text 2
    "hf instructblip": hf("InstructBlipForConditionalGeneration", 7, BLIP2, with_question),
    "hf vilt": hf("ViltModel", 2, {**VIT, "vocab_size": 60, "max_position_embeddings": 20}, both),
    "hf git": hf("GitModel", 4, {**TEXT, "vision_config": VIT}, both),
    "hf layoutlm v3": hf(
        "LayoutLMv3Model",
        2,
        {
            **TEXT,
            "input_size": 32,
            "patch_size": 8,
            "max_2d_position_embeddings": 64,
            "coordinate_size": 8,
            "shape_size": 8,
            "has_relative_attention_bias": True,
            "has_spatial_attention_bias": True,
        },
        laid_out,
    ),
    "hf lxmert": hf(
        "LxmertModel",
        6,  # one of words, one of regions; two across and two within
        {
            **TEXT,
            "num_attention_heads": 4,
            "l_layers": 1,
            "r_layers": 1,
            "x_layers": 1,
            "visual_feat_dim": 16,
            "visual_pos_dim": 4,
        },
        lambda: {**text(), "visual_feats": noise(2, 4, 16), "visual_pos": noise(2, 4, 4)},
    ),
    "hf llava": hf("LlavaForConditionalGeneration", 4, LLAVA, lambda: prompt(16)),
    "hf llava eager": hf("LlavaForConditionalGeneration", 4, LLAVA, lambda: prompt(16), how="eager"),
    "hf qwen2 vl": hf("Qwen2VLForConditionalGeneration", 6, QWEN2, qwen_prompt),  # two pictures x 2, text 2
    "hf qwen2 vl eager": hf("Qwen2VLForConditionalGeneration", 6, QWEN2, qwen_prompt, how="eager"),
    "hf qwen2.5 vl": hf("Qwen2_5_VLForConditionalGeneration", 6, QWEN25, qwen_prompt),
    "hf qwen3 vl": hf("Qwen3VLForConditionalGeneration", 6, QWEN3, qwen_prompt),
    "hf gemma 3": hf("Gemma3ForConditionalGeneration", 5, GEMMA3, gemma_prompt),  # vision 2 and its pool, text 2
    "hf paligemma": hf(
        "PaliGemmaForConditionalGeneration",
        5,
        {
            "vision_config": {**SIGLIP, "projection_dim": 48},
            "text_config": {**GEMMA, "model_type": "gemma"},
            "image_token_id": IMAGE,
            "projection_dim": 48,
        },
        lambda: prompt(16),
    ),
    "hf idefics3": hf(
        "Idefics3ForConditionalGeneration",
        4,
        {**LLAVA, "vision_config": VIT, "scale_factor": 2},
        one_picture_in_tiles,
    ),
    "hf t5": hf(
        "T5Model",
        6,  # 2, and self and cross of 2
        {
            "d_model": 48,
            "d_kv": 12,
            "d_ff": 64,
            "num_layers": 2,
            "num_decoder_layers": 2,
            "num_heads": 4,
            "vocab_size": 60,
        },
        answers,
    ),
    "hf bert": hf("BertModel", 2, TEXT, text),
    "hf albert, one layer twice": hf("AlbertModel", 2, {**TEXT, "embedding_size": 16}, text),
    "hf deberta v2": hf(
        "DebertaV2Model", 2, {**TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, text
    ),
    "hf gpt2": hf(
        "GPT2Model",
        2,
        {
            "n_embd": 48,
            "n_layer": 2,
            "n_head": 4,
            "vocab_size": 60,
            "n_positions": 40,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        text,
    ),
    "hf llama": hf("LlamaModel", 2, GROUPED, text),
    "hf gemma 2, capped logits": hf("Gemma2Model", 2, {**GEMMA, "sliding_window": 4}, text),
}
