"""torchvision's models that attend, and torch's own layers with each of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision.models import MaxVit, SwinTransformer, VisionTransformer
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2

from .variant import Forward, Variant, noise


def pictured(model: nn.Module, size: int) -> tuple[nn.Module, Forward]:
    picture = noise(1, 3, size, size)
    return model, lambda: model(picture)


def vit() -> tuple[nn.Module, Forward]:
    return pictured(VisionTransformer(32, 8, 2, 3, 48, 64, num_classes=5), 32)


def swin(v2: bool) -> tuple[nn.Module, Forward]:
    options: dict[str, Any] = {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2} if v2 else {}
    return pictured(SwinTransformer([4, 4], 24, [2, 2], [3, 6], [4, 4], num_classes=5, **options), 32)


def maxvit() -> tuple[nn.Module, Forward]:
    return pictured(MaxVit((64, 64), 16, 4, [16, 32], [1, 1], 16, 0.0, num_classes=5), 64)


def multihead(call: dict[str, Any], other: int = 7, **options: Any) -> tuple[nn.Module, Forward]:
    """Cross-attention of 5 queries to some keys, kept in the output as far as it returns weights."""
    model = nn.MultiheadAttention(16, 4, batch_first=True, **options)
    query = noise(2, 5, 16)
    key, value = noise(2, other, options.get("kdim", 16)), noise(2, other, options.get("vdim", 16))
    return model, lambda: model(query, key, value, **call)


def mha(**options: Any) -> Variant:
    call = {"need_weights": options.pop("weights", False)}
    for name in ("attn_mask", "key_padding_mask", "average_attn_weights", "is_causal"):
        if name in options:
            call[name] = options.pop(name)
    return Variant(partial(multihead, call, **options), 1)


def self_attention() -> tuple[nn.Module, Forward]:
    model = nn.MultiheadAttention(16, 4, batch_first=True)
    x = noise(2, 5, 16)
    return model, lambda: model(x, x, x, need_weights=False)


def unbatched() -> tuple[nn.Module, Forward]:
    model = nn.MultiheadAttention(16, 4)
    x = noise(5, 16)
    return model, lambda: model(x, x, x)


def encoder(mask: bool) -> tuple[nn.Module, Forward]:
    """Padded at the end, without the nested tensors that would put zeros there."""
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    x = noise(2, 5, 16)
    padding = torch.arange(5) >= torch.tensor([[5], [3]])
    if not mask:
        return model, lambda: model(x)
    return model, lambda: model(x, src_key_padding_mask=padding)[~padding]


def nested() -> tuple[nn.Module, Forward]:
    """The kernel of nested tensors leaves zeros in padded places; only the valid ones are given back."""
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 3)
    x = noise(2, 5, 16)
    padding = torch.arange(5) >= torch.tensor([[5], [3]])

    def forward() -> Any:
        out = model(x, src_key_padding_mask=padding)
        return [one[:n] for one, n in zip(out, (5, 3), strict=True)]

    return model, forward


def decoder() -> tuple[nn.Module, Forward]:
    model = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 4, 32, batch_first=True, norm_first=True), 2)
    x, memory = noise(2, 5, 16), noise(2, 7, 16)
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    return model, lambda: model(x, memory, tgt_mask=causal, tgt_is_causal=True)


def transformer() -> tuple[nn.Module, Forward]:
    model = nn.Transformer(16, 4, 2, 2, 32)
    x, y = noise(7, 2, 16), noise(5, 2, 16)
    return model, lambda: model(x, y)


class Alone(nn.Module):
    """Attention in one line, as research code writes it."""

    def __init__(self, attend: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.num_heads = 4
        self.inward, self.outward = nn.Linear(16, 16), nn.Linear(16, 16)
        self.attend = attend

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.inward(x).unflatten(-1, (4, 4)).transpose(1, 2)
        return self.outward(self.attend(x).transpose(1, 2).flatten(2))


def alone(attend: Callable[[torch.Tensor], torch.Tensor]) -> tuple[nn.Module, Forward]:
    model = Alone(attend)
    x = noise(2, 5, 16)
    return model, lambda: model(x)


def by_einsum(x: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bhqk,bhkd->bhqd", torch.einsum("bhqd,bhkd->bhqk", x, x).softmax(-1), x)


def by_turned_product(x: torch.Tensor) -> torch.Tensor:
    return (x.mT @ (x @ x.mT).softmax(-1).mT).mT


def in_float64(x: torch.Tensor) -> torch.Tensor:
    return torch.matmul(torch.softmax(x @ x.mT, dim=-1, dtype=torch.float64).float(), x)


LATER = torch.ones(5, 7).triu(1).bool()
PADDING = torch.arange(7) >= torch.tensor([[7], [4]])

TORCHVISION: dict[str, Variant] = {
    "torchvision vit": Variant(vit, 2),
    "torchvision swin": Variant(partial(swin, False), 4),
    "torchvision swin v2": Variant(partial(swin, True), 4),
    "torchvision maxvit": Variant(maxvit, 4),  # two blocks, each over windows and over a grid
    "torch mha": mha(),
    "torch mha with itself": Variant(self_attention, 1, fast=True),
    "torch mha with weights": mha(weights=True),
    "torch mha with each head's weights": mha(weights=True, average_attn_weights=False),
    "torch mha masked": mha(attn_mask=LATER, key_padding_mask=PADDING),
    "torch mha masked with weights": mha(weights=True, attn_mask=LATER, key_padding_mask=PADDING),
    "torch mha with other widths": mha(kdim=12, vdim=20),
    "torch mha with added keys": mha(add_bias_kv=True, add_zero_attn=True),
    "torch mha with added keys and weights": mha(weights=True, add_bias_kv=True, add_zero_attn=True, bias=False),
    "torch mha unbatched": Variant(unbatched, 1),
    "torch encoder": Variant(partial(encoder, False), 3, fast=True),
    "torch encoder padded": Variant(partial(encoder, True), 3, fast=True),
    "torch encoder nested": Variant(nested, 3, fast=True),
    "torch decoder": Variant(decoder, 4),
    "torch transformer": Variant(transformer, 6),  # 2, and 2 x (self and cross)
    "einsum": Variant(partial(alone, by_einsum), 1),
    "turned product": Variant(partial(alone, by_turned_product), 1),
    "softmax in float64": Variant(partial(alone, in_float64), 1),
}
