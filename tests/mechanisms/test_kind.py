from __future__ import annotations

import pytest
from torch import nn

from regard.mechanisms.kind import kind_of, told_by_class


@pytest.mark.parametrize(
    ("site", "shape", "pictures", "patches", "kind"),
    [
        ("blocks.0.attn", (2, 3, 197, 197), 2, 196, "self"),
        ("attn_pool", (2, 3, 1, 197), 2, 196, "pool"),
        ("layers.0.attn", (128, 3, 49, 49), 2, 3136, "window"),
        ("stages.0.attn", (2, 1, 3136, 49), 2, 3136, "self"),  # keys made coarser, eight by eight to one
        ("decoder.encoder_attn", (2, 8, 100, 25), 2, None, "cross"),  # four queries a key, but named
        ("decoder.attn", (2, 8, 100, 600), 2, None, "cross"),
        ("blocks.0.attn1", (2, 8, 333, 333), 2, 256, "joint"),
    ],
)
def test_shapes_tell(
    site: str, shape: tuple[int, int, int, int], pictures: int, patches: int | None, kind: str
) -> None:
    assert kind_of(nn.Identity(), site, shape, pictures, patches) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("OutlookAttention", "outlook"), ("XCA", "channel"), ("ChannelAttentionV2", "channel"),
     ("MSDeformableAttention", "sampling"), ("LinearAttention", "linear"), ("Attention", None)],
)  # fmt: skip
def test_a_class_that_is_called_after_a_kind_is_believed(name: str, kind: str | None) -> None:
    module = type(name, (nn.Module,), {})()
    assert told_by_class(module) == kind
    if kind is not None:
        assert kind_of(module, "attn", (2, 3, 1, 9), 2, None) == kind
