"""Views of heads that several tests show, and the page's data read back as its scripts do."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
from torch import nn

from regard.looking.headview import HeadSettings, HeadView, view_heads

from .pages import Page


def viewed(model: nn.Module, *sources: Any, **settings: Any) -> HeadView:
    return view_heads(sources or ("sample:coffee",), HeadSettings(**({"model": "tiny"} | settings)), given=model)


class Held:
    """A head out of the page: what exact.js computes, in Python."""

    def __init__(self, header: dict[str, Any], raw: bytes) -> None:
        self.layer, self.head, self.site = header["layer"], header["head"], header["site"]
        self.n, self.width, self.scale = header["tokens"], header["width"], header["scale"]
        self.parts = {
            name: np.frombuffer(raw, "<u4" if name == "places" else "<f4", count, 4 * at)
            for name, (at, count) in header["parts"].items()
        }

    def products(self, i: int, j: int) -> np.ndarray:
        q, k = (self.parts[name].reshape(self.n, self.width).astype(np.float64) for name in ("q", "k"))
        return self.scale * q[i] * k[j]

    def logits(self) -> np.ndarray:
        q, k = (self.parts[name].reshape(self.n, self.width).astype(np.float64) for name in ("q", "k"))
        bias = self.parts["bias"].reshape(self.n, self.n) if "bias" in self.parts else 0
        return self.scale * q @ k.T + bias

    def attention(self) -> np.ndarray:
        if "probs" in self.parts:
            return self.parts["probs"].reshape(self.n, self.n).astype(np.float64)
        raised = np.exp(self.logits() - self.logits().max(1, keepdims=True))
        full = raised / raised.sum(1, keepdims=True)
        places, kept = self.parts["places"], self.parts["kept"].astype(np.float64)
        for i in range(self.n):
            ours = places // self.n == i
            at = places[ours] - i * self.n
            rest = 1 - full[i, at].sum()
            if len(at) and rest > 0:
                full[i] *= (1 - kept[ours].sum()) / rest
            full[i, at] = kept[ours]
        return full


def held(text: str) -> list[Held]:
    """Every exact head of a page."""
    page = Page(text)
    header = json.loads(page.ids["exact-header"])
    raw = zlib.decompress(base64.b64decode(page.ids["exact-data"]))
    assert len(raw) == 4 * header["numbers"] == header["bytes"]
    return [Held(one, raw) for one in header["heads"]]
