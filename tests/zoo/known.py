"""Models that are not read as they should be. Each says what happens now, and why says what should.

These expectations are tested like any other, so that whoever mends one finds it here, and moves it to its table.
"""

from __future__ import annotations

from functools import partial

import timm
from torch import nn

from .hf_models import UNUSED, hf, picture
from .hf_talkers import GEMMA, text
from .variant import Forward, Variant, each, noise


def four_pictures(name: str) -> tuple[nn.Module, Forward]:
    model = timm.create_model(name, pretrained=False, img_size=64)
    pictures = noise(4, 3, 64, 64)
    return model, lambda: model(pictures)


def context() -> tuple[nn.Module, Forward]:
    model = timm.create_model("gcresnext26ts", pretrained=False)
    pictures = noise(1, 3, 64, 64)
    return model, lambda: model(pictures)


KNOWN: dict[str, Variant] = {
    "known: hf cvt": hf(
        "CvtModel",
        0,
        {"depth": [1, 2, 3], "embed_dim": [16, 32, 48], "num_heads": [1, 2, 3]},
        picture(64),
        told=each(
            [f"encoder.stages.{i}.layers.{j}.attention.attention" for i in range(3) for j in range(i + 1)], UNUSED
        ),
        why="6 calls: its einsum is given the operands in a list, which is not looked into",
    ),
    "known: hf gpt oss": hf(
        "GptOssModel",
        0,
        {**GEMMA, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 4},
        text,
        told=each(["layers.0.self_attn", "layers.1.self_attn"], UNUSED),
        gap=2,
        why="2 calls: the last column, of the sink, is cut off the weights, and a cut loses the mark; the gap is the "
        "choice of experts, a softmax of two axes",
    ),
    "known: timm efficientvit msra, four pictures": Variant(
        partial(four_pictures, "efficientvit_m0"),
        24,
        why="calls of one head each, [pictures, N, N]; four pictures are taken for the four heads the module has",
    ),
    "known: timm gcresnet": Variant(
        context,
        0,
        told=each([f"stages.{i}.{j}.attn" for i in range(4) for j in (0, 1)], UNUSED),
        why="8 calls of one query: weights [B, 1, N] become a column by unsqueeze, right of the values",
    ),
}
