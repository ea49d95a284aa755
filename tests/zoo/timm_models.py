"""Of each family of timm that attends, the smallest member, cut down further where its arguments allow."""

from __future__ import annotations

from functools import partial
from typing import Any

import timm
import torch
from torch import nn

from .variant import Forward, Variant, each, noise


def created(name: str, size: int, options: dict[str, Any]) -> tuple[nn.Module, Forward]:
    model = timm.create_model(name, pretrained=False, **options)
    picture = noise(1, 3, size, size)
    return model, lambda: model(picture)


def spelled_out(name: str, size: int, options: dict[str, Any]) -> tuple[nn.Module, Forward]:
    """With softmax and products instead of the fused call."""
    model, forward = created(name, size, options)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    return model, forward


def padded(name: str, options: dict[str, Any]) -> tuple[nn.Module, Forward]:
    """NaFlex on two pictures of 12 and 7 patches: the second is padded."""
    model = timm.create_model(name, pretrained=False, **options)
    at = torch.stack(torch.meshgrid(torch.arange(3), torch.arange(4), indexing="ij"), -1).flatten(0, 1)
    batch = {
        "patches": noise(2, 12, 16 * 16 * 3),
        "patch_coord": at.expand(2, -1, -1),
        "patch_valid": torch.arange(12) < torch.tensor([[12], [7]]),
    }
    return model, lambda: model(batch)


def make(
    name: str,
    calls: int,
    size: int = 64,
    *,
    told: dict[str, int] | None = None,
    gap: int = 0,
    why: str = "",
    mixed: bool = False,
    build: Any = created,
    **options: Any,
) -> Variant:
    return Variant(partial(build, name, size, options), calls, told or {}, gap, why, mixed=mixed)


def unnamed(*shape: int) -> str:
    return f"attention by hand whose weights {list(shape)} have no known head axis"


UNUSED = "softmax without a product with values"
UNKNOWN = "scaled_dot_product_attention with operands whose head axis is not known"
VIT: dict[str, Any] = {"img_size": 32, "depth": 2, "embed_dim": 48, "num_heads": 3, "num_classes": 5}
NAFLEX: dict[str, Any] = {key: VIT[key] for key in VIT if key != "img_size"}
SIX: dict[str, Any] = {"embed_dim": 24, "depths": (2, 2, 1, 1)}
ONES = (1, 1, 1, 1)
WIDTHS = (24, 48, 96, 192)


def four_pictures() -> tuple[nn.Module, Forward]:
    model = timm.create_model("efficientvit_m0", pretrained=False, img_size=64)
    pictures = noise(4, 3, 64, 64)
    return model, lambda: model(pictures)


TIMM: dict[str, Variant] = {
    "timm vit": make("vit_tiny_patch16_224", 2, 32, **VIT),
    "timm vit spelled out": make("vit_tiny_patch16_224", 2, 32, build=spelled_out, **VIT),
    "timm deit3": make("deit3_small_patch16_224", 2, 32, **VIT),
    "timm dinov2 with registers": make("vit_small_patch14_reg4_dinov2", 2, 56, **{**VIT, "img_size": 56}),
    "timm dinov3": make("vit_small_patch16_dinov3", 2, 32, **VIT),
    "timm eva02": make("eva02_tiny_patch14_224", 2, 56, **{**VIT, "img_size": 56}),
    "timm siglip with attention pool": make("vit_base_patch16_siglip_224", 3, 32, **{**VIT, "num_classes": 0}),
    "timm sam": make(
        "samvit_base_patch16",
        3,
        **{**VIT, "img_size": 64, "depth": 3, "num_classes": 0},
        window_size=3,
        global_attn_indexes=(2,),
    ),
    "timm naflex": make("naflexvit_base_patch16_gap", 2, 32, **NAFLEX),
    "timm naflex padded": Variant(partial(padded, "naflexvit_base_patch16_map", NAFLEX), 3),
    "timm hiera": make("hiera_tiny_224", 5, 96, img_size=96, embed_dim=24, num_heads=1, stages=(1, 1, 2, 1)),
    "timm hiera with as many windows as heads": make(
        "hiera_tiny_224",
        4,
        img_size=64,
        embed_dim=24,
        num_heads=1,
        stages=(1, 1, 2, 1),
        told={f"blocks.2.attn: {UNKNOWN}": 1},
        why="2 x 2 windows and 4 heads cannot be told apart",
    ),
    "timm pvt v2": make("pvt_v2_b0", 8),
    "timm pvt v2 linear": make("pvt_v2_b2_li", 4, depths=ONES, embed_dims=(32, 64, 160, 256)),
    "timm twins": make("twins_svt_small", 8, 128, depths=(2, 2, 2, 2), embed_dims=(16, 32, 64, 128)),
    "timm twins pcpvt": make("twins_pcpvt_small", 4, depths=ONES),
    "timm nest": make("nest_tiny", 12, img_size=64),  # 2 + 2 + 8
    "timm maxvit": make("maxvit_tiny_rw_224", 8, img_size=64, depths=ONES, embed_dim=(32, 64, 64, 64)),
    "timm maxvit tf": make("maxvit_tiny_tf_224", 8, img_size=64, depths=ONES, embed_dim=(32, 64, 64, 64)),
    "timm coatnet": make("coatnet_nano_rw_224", 3, img_size=64, depths=(1, 1, 2, 1), embed_dim=(32, 64, 64, 64)),
    "timm clip resnet": make("resnet50_clip", 1, img_size=64),  # the pool
    "timm beit": make("beit_base_patch16_224", 2, 32, **VIT),
    "timm vit relpos": make("vit_relpos_small_patch16_224", 2, 32, **VIT),
    "timm swin": make("swin_tiny_patch4_window7_224", 6, 56, img_size=56, **SIX),
    "timm swin v2": make("swinv2_tiny_window8_256", 6, img_size=64, **SIX),
    "timm swin v2 cr": make("swinv2_cr_tiny_224", 6, img_size=64, **SIX),
    "timm mvit v2": make("mvitv2_tiny", 10, img_size=64),  # 1 + 2 + 5 + 2
    "timm levit": make("levit_128s", 11, img_size=64),  # 2 + 3 + 4, and one at each of two steps down
    "timm tnt": make(
        "tnt_s_patch16_224",
        4,
        32,
        img_size=32,
        depth=2,
        embed_dim=48,
        inner_dim=12,
        num_heads_inner=2,
        num_heads_outer=3,
    ),
    "timm gcvit": make("gcvit_xxtiny", 12, img_size=64),  # 2 + 2 + 6 + 2
    "timm efficientformer": make("efficientformer_l1", 1, 224),  # its last block
    "timm efficientformer v2": make("efficientformerv2_s0", 5, img_size=64, mixed=True),
    "timm convit": make(
        "convit_tiny",
        2,
        32,
        **VIT,
        told=each(["blocks.0.attn", "blocks.1.attn"], UNUSED),
        why="a second softmax, of positions, is added to the first; their gated sum is read",
    ),
    "timm cait": make("cait_xxs24_224", 4, 32, **VIT, mixed=True),
    "timm xcit": make("xcit_nano_12_p16_224", 4, 32, **VIT),
    "timm crossvit": make("crossvit_tiny_240", 8, 240, depth=((1, 1, 0), (1, 1, 0)), embed_dim=(24, 48)),
    "timm davit": make("davit_tiny", 8, depths=ONES, embed_dims=WIDTHS),
    "timm volo": make("volo_d1_224", 20, img_size=64),  # 4 + 4 + 8 + 2, and two of the class token
    "timm tiny vit": make("tiny_vit_5m_224", 3, depths=ONES),
    "timm pit": make("pit_ti_224", 4, img_size=64, depth=(1, 1, 2)),
    "timm visformer": make("visformer_tiny", 2, img_size=64, depth=(1, 1, 1)),
    "timm edgenext": make("edgenext_xx_small", 3),
    "timm vitamin": make("vitamin_small_224", 2, img_size=64, depth=2),
    "timm caformer": make("caformer_s18", 12),  # stages of 9 and 3; the others convolve
    "timm sam2 hiera": make("sam2_hiera_tiny", 5, stages=(1, 1, 2, 1), global_att_blocks=(3,), embed_dim=24),
    "timm next vit": make("nextvit_small", 4),
    "timm fastvit": make("fastvit_sa12", 2),  # its last stage
    "timm efficientvit msra": make("efficientvit_m0", 24, img_size=64),  # heads one after another, each a call
    "timm bottleneck": make("botnet26t_256", 3, img_size=64),
    "timm halonet": make(
        "halonet26t",
        0,
        256,
        told={
            f"stages.2.1.self_attn: {unnamed(8, 4, 64, 144)}": 1,
            f"stages.3.0.self_attn: {unnamed(8, 4, 16, 144)}": 1,
            f"stages.3.1.self_attn: {unnamed(8, 1, 64, 144)}": 1,
        },
        why="heads are counted into the batch, before an axis of blocks: two axes that look like batch and heads",
    ),
    "timm mobilevit": make("mobilevit_xxs", 9),
    "timm mobilenet v4 hybrid": make("mobilenetv4_hybrid_medium", 8),
    "timm lowformer": make("lowformer_b0", 7),
    "timm iformer": make("iformer_t", 5),
    "timm cpubone": make("cpubone_b0_bfrobust", 7),
    "timm gemma4": make("gemma4_vit_167m", 2, depth=2, embed_dim=48, num_heads=3),
    "timm qwen3": make("qwen3_vit_88m", 2, depth=2, embed_dim=48, num_heads=3),
    "timm deepseek": make("deepseek_vit_412m", 2, 56, depth=2, embed_dim=48, num_heads=3),
    "timm vit hybrid": make("vit_tiny_r_s16_p8_224", 2, img_size=64, depth=2),
    "timm differential attention": make("vit_dwee_patch16_reg1_gap_256", 4, 32, **VIT),
    "timm parallel": make("vit_small_patch16_18x2_224", 4, 32, **VIT),
    "timm resnest": make(
        "resnest14d",
        0,
        told=each([f"layer{i}.0.conv2.rsoftmax" for i in (1, 2, 3, 4)], UNUSED),
        why="split attention: a softmax over two branches of channels",
    ),
    "timm sknet": make(
        "skresnet18",
        0,
        why="selective kernels: a softmax over two branches of channels",
        told=each([f"layer{i}.{j}.conv1.attn" for i in (1, 2, 3, 4) for j in (0, 1)], UNUSED),
    ),
    "timm coat": make(
        "coat_lite_tiny",
        0,
        img_size=64,
        told=each([f"serial_blocks{i}.{j}.factoratt_crpe" for i in range(1, 5) for j in (0, 1)], UNUSED),
        why="linear attention: a softmax of the keys over positions, no row-stochastic matrix",
    ),
    "timm efficientvit mit": make("efficientvit_b0", 0, why="linear attention with relu: no softmax at all"),
    "timm mobilevit v2": make(
        "mobilevitv2_050",
        0,
        told=each(
            [f"stages.{i}.1.transformer.{j}.attn" for i, n in ((2, 2), (3, 4), (4, 3)) for j in range(n)], UNUSED
        ),
        why="linear attention: a softmax over positions that scales the keys, no matrix",
    ),
    "timm swiftformer": make("swiftformer_xs", 0, why="additive attention without a softmax"),
    "timm efficientvit msra, four pictures": Variant(four_pictures, 24),  # as many as the heads that the module has
    "timm gcresnet": make("gcresnext26ts", 8),  # one query for all: the row is a column, right of the values
    "timm shvit": make("shvit_s1", 9),  # a single head, without an axis for it
    "timm lambda": make("lambda_resnet26t", 3),  # rows are channels: each looks over the positions
    "timm csatv2": make(
        "csatv2",
        4,
        gap=14,
        why="its spatial attention is a softmax of 2 axes, over the batch and not over positions (q @ k^T of [B, N])",
    ),
    "timm efficientvim": make(
        "efficientvim_m1", 6, gap=1, mixed=True, why="the gap is a softmax of two axes, over the four heads"
    ),
    "timm convnext": make("convnext_atto", 0, why="no attention", depths=ONES),
}
