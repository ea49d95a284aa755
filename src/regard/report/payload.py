"""The interactive view's data: attention of every head, quantised so that a report stays small.

A row of attention p is kept as round(levels * sqrt(p / max p)) in a byte, with its maximum beside it, so
an entry is off by at most max p / levels. Rows are compressed together; if they are still too large,
levels fall and then keys are pooled. What was done is written into the report.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.atlas import Joint
from regard.looking.attention import Attention
from regard.looking.exact import Exact

LIMIT = 4_900_000  # characters of base64
LADDER = ((255, 1), (127, 1), (63, 1), (31, 1), (127, 2), (31, 2), (63, 4))  # (levels, key pooling)


@dataclass(frozen=True)
class Payload:
    """header: sizes and names for the page's script; data: base64 of deflated bytes (codes, then row
    maxima, then row sums as little-endian float32)."""

    header: dict[str, Any]
    data: str


def encode(seen: Attention, limit: int = LIMIT) -> Payload:
    """The finest step of the ladder that fits the limit."""
    rows = table(seen)
    for levels, pool in LADDER:
        kept, h, w = pool_keys(rows, seen.grid.h, seen.grid.w, pool)
        codes, top = quantise(kept, levels)
        last = (levels, pool) == LADDER[-1]
        if not last and _estimate(codes) > limit:
            continue
        raw = codes.tobytes() + top.astype("<f4").tobytes() + rows.sum(-1).astype("<f4").tobytes()
        data = base64.b64encode(zlib.compress(raw, 6)).decode()
        if last or len(data) <= limit:  # the estimate spares most of the compressing; the size itself decides
            break
    header = {
        "layers": len(seen.sites), "heads": seen.heads, "queries": rows.shape[2], "sites": list(seen.sites),
        "h": h, "w": w, "levels": levels, "keyPool": pool, "cell": seen.cell, "prefix": seen.grid.prefix,
        "cellsDown": -(-seen.grid.h // seen.cell), "cellsAcross": -(-seen.grid.w // seen.cell),
        "patchesDown": seen.grid.h, "patchesAcross": seen.grid.w, "hasCls": seen.who == "CLS",
    }  # fmt: skip
    return Payload(header, data)


def table(seen: Attention) -> NDArray[np.float32]:
    """Query cells to patches, with CLS (where there is one) as the last query: `[L, H, G (+1), P]`."""
    if seen.who != "CLS":
        return seen.pooled
    cls = seen.rows[:, :, None, seen.grid.prefix :]
    return np.concatenate([seen.pooled, cls], axis=2)


def pool_keys(rows: NDArray[np.float32], h: int, w: int, size: int) -> tuple[NDArray[np.float32], int, int]:
    """Sum keys over cells of size x size patches."""
    if size == 1:
        return rows, h, w
    grid = rows.reshape(*rows.shape[:-1], h, w)
    summed = np.add.reduceat(np.add.reduceat(grid, np.arange(0, h, size), axis=-2), np.arange(0, w, size), axis=-1)
    return summed.reshape(*rows.shape[:-1], -1), summed.shape[-2], summed.shape[-1]


def quantise(rows: NDArray[np.float32], levels: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Codes and row maxima."""
    top = rows.max(-1)
    share = rows / np.maximum(top, np.finfo(np.float32).tiny)[..., None]
    return np.rint(np.sqrt(share) * levels).astype(np.uint8), top


def dequantise(codes: NDArray[np.uint8], top: NDArray[np.float32], levels: int) -> NDArray[np.float32]:
    """What the page's script computes."""
    return (codes.astype(np.float32) / np.float32(levels)) ** 2 * top[..., None]


def _estimate(codes: NDArray[np.uint8]) -> float:
    """Size in base64, from a compressed sample of the rows."""
    flat = codes.reshape(-1, codes.shape[-1])
    step = max(1, len(flat) // 2000)
    sample = np.ascontiguousarray(flat[::step])
    return len(zlib.compress(sample.tobytes(), 6)) * (len(flat) / len(sample)) * 4 / 3


def encode_exact(exacts: Sequence[Exact]) -> Payload:
    """Heads in full precision: little-endian float32 (places: uint32) one after the other, deflated together.

    Each head's `parts` say where its arrays begin, in units of four bytes, and how long they are.
    """
    heads: list[dict[str, Any]] = []
    blocks: list[bytes] = []
    at = 0
    for one in exacts:
        parts: dict[str, list[int]] = {}
        for name in ("q", "k", "bias", "probs", "places", "kept"):
            array = getattr(one, name)
            if array is None:
                continue
            blocks.append(array.astype("<u4" if name == "places" else "<f4").tobytes())
            parts[name] = [at, array.size]
            at += array.size
        heads.append(
            {
                "layer": one.layer, "head": one.head, "site": one.address, "tokens": one.tokens, "scale": one.scale,
                "width": 0 if one.q is None else one.q.shape[1], "parts": parts,
            }
        )  # fmt: skip
    data = base64.b64encode(zlib.compress(b"".join(blocks), 6)).decode()
    return Payload({"heads": heads, "numbers": at, "bytes": 4 * at}, data)


def encode_joints(joints: Sequence[Joint], colours: NDArray[np.uint8]) -> Payload:
    """Planes of the same tokens: places as float32 `[joints, P, 2]`, then tokens as uint32 and pictures as
    uint32 `[P / 2]` (keys repeat the queries'), then colours as bytes `[P / 2, 3]`, deflated together."""
    first = joints[0]
    half = len(first.points) // 2
    raw = b"".join(
        [
            *(j.points.astype("<f4").tobytes() for j in joints),
            first.token[:half].astype("<u4").tobytes(),
            first.picture[:half].astype("<u4").tobytes(),
            colours.astype(np.uint8).tobytes(),
        ]
    )
    header = {
        "tokens": half,
        "pictures": [
            {"name": name, "h": g.h, "w": g.w, "prefix": g.prefix}
            for name, g in zip(first.pictures, first.grids, strict=True)
        ],
        "planes": [
            {
                "site": j.address, "head": j.head, "scale": j.scale, "explained": j.explained,
                "correlation": dict(j.correlation),
            }
            for j in joints
        ],
    }  # fmt: skip
    return Payload(header, base64.b64encode(zlib.compress(raw, 6)).decode())
