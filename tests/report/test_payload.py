"""The interactive view's data: what the page's script reads back is the attention, within what the page says."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch

from regard.looking import attention
from regard.looking.attention import Attention, see
from regard.looking.exact import exact
from regard.looking.look import Look
from regard.report.payload import (
    LADDER,
    LIMIT,
    Payload,
    dequantise,
    encode,
    encode_exact,
    encode_joints,
    pool_keys,
    quantise,
    table,
)

from ..looking.test_exact import CASES, reading
from ..looking.vits import vit, without_prefix
from ..test_atlas import joint
from .heads_views import Held


def looked(make: Callable[..., torch.nn.Module], cells: int, size: tuple[int, int]) -> Attention:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "CELLS", cells)
        seen, _ = see(make(size=size), torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)))
    assert seen is not None
    return seen


@pytest.fixture(scope="module")
def seen() -> Attention:
    return looked(vit, 10, (20, 28))


@pytest.fixture(scope="module")
def received() -> Attention:
    return looked(without_prefix, 200, (32, 32))


def decoded(payload: Payload) -> tuple[np.ndarray, np.ndarray]:
    """What script.js does, in Python: values `[L, H, Q, K]` and row sums `[L, H, Q]`."""
    h = payload.header
    rows, keys = (h["layers"], h["heads"], h["queries"]), h["h"] * h["w"]
    raw = zlib.decompress(base64.b64decode(payload.data))
    count = int(np.prod(rows))
    assert len(raw) == count * (keys + 8)
    codes = np.frombuffer(raw[: count * keys], np.uint8).reshape(*rows, keys)
    floats = np.frombuffer(raw[count * keys :], "<f4")
    top, sums = floats[:count].reshape(rows), floats[count:].reshape(rows)
    return (codes / h["levels"]) ** 2 * top[..., None], sums


@pytest.mark.parametrize("which", ["seen", "received"])
@pytest.mark.parametrize("limit", [LIMIT, 0])
def test_what_is_read_back_is_the_attention(which: str, limit: int, request: pytest.FixtureRequest) -> None:
    one: Attention = request.getfixturevalue(which)
    payload = encode(one, limit)
    values, sums = decoded(payload)
    wanted, h, w = pool_keys(table(one), one.grid.h, one.grid.w, payload.header["keyPool"])
    assert (payload.header["h"], payload.header["w"]) == (h, w)
    error = np.abs(values - wanted)
    assert (error <= wanted.max(-1, keepdims=True) / payload.header["levels"] + 1e-9).all()
    np.testing.assert_allclose(sums, table(one).sum(-1), rtol=1e-6)


def test_the_header_says_how_the_rows_lie(seen: Attention, received: Attention) -> None:
    header = encode(seen).header
    assert header == {
        "layers": 3, "heads": 2, "queries": 13, "sites": list(seen.sites), "h": 5, "w": 7, "levels": 255, "keyPool": 1,
        "cell": 2, "prefix": 1, "cellsDown": 3, "cellsAcross": 4, "patchesDown": 5, "patchesAcross": 7, "hasCls": True,
    }  # fmt: skip
    assert not encode(received).header["hasCls"]
    assert encode(received).header["queries"] == 64


def test_cls_is_the_last_query(seen: Attention, received: Attention) -> None:
    rows = table(seen)
    np.testing.assert_array_equal(rows[:, :, :-1], seen.pooled)
    np.testing.assert_array_equal(rows[:, :, -1], seen.rows[..., 1:])
    assert table(received) is received.pooled


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
@pytest.mark.parametrize(("h", "w"), [(4, 6), (5, 7), (1, 3)])
def test_pooled_keys_are_sums_over_cells(size: int, h: int, w: int) -> None:
    rows = np.random.default_rng(0).random((2, 3, h * w)).astype(np.float32)
    got, down, across = pool_keys(rows, h, w, size)
    assert (down, across) == (-(-h // size), -(-w // size))
    wanted = np.zeros((2, 3, down, across))
    for y in range(h):
        for x in range(w):
            wanted[..., y // size, x // size] += rows[..., y * w + x]
    np.testing.assert_allclose(got, wanted.reshape(2, 3, -1), rtol=1e-6)


@pytest.mark.parametrize("levels", sorted({levels for levels, _ in LADDER}))
def test_quantising_is_off_by_less_than_a_level(levels: int) -> None:
    rows = np.random.default_rng(0).exponential(size=(50, 400)).astype(np.float32) ** 3
    codes, top = quantise(rows, levels)
    back = dequantise(codes, top, levels)
    assert (np.abs(back - rows).max(-1) <= rows.max(-1) / levels).all()
    np.testing.assert_array_equal(top, rows.max(-1))
    assert codes.max() == levels, "the largest entry is kept exactly"
    np.testing.assert_allclose(back.max(-1), top, rtol=1e-6)


def test_an_empty_row_stays_empty() -> None:
    codes, top = quantise(np.zeros((1, 5), dtype=np.float32), 255)
    assert not codes.any()
    assert not dequantise(codes, top, 255).any()


def test_the_ladder_falls_no_further_than_the_limit_asks(seen: Attention) -> None:
    steps = [LADDER.index((p.header["levels"], p.header["keyPool"])) for p in (encode(seen, limit) for limit in SIZES)]
    assert steps[0] == 0
    assert steps[-1] == len(LADDER) - 1
    assert steps == sorted(steps)
    assert len(set(steps)) > 3
    for limit, step in zip(SIZES, steps, strict=True):
        if step < len(LADDER) - 1:
            assert len(encode(seen, limit).data) <= limit
        for finer in LADDER[:step]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("regard.report.payload.LADDER", (finer,))
                assert len(encode(seen, limit).data) > 0.8 * limit, "a finer step would have fitted with ease"


SIZES = (10**6, 3300, 2900, 2500, 2100, 1500, 0)


def test_every_head_of_dinov2_fits(dinov2_look: Look) -> None:
    one = dinov2_look.attention
    assert one is not None
    payload = encode(one)
    assert len(payload.data) <= LIMIT
    assert payload.header["keyPool"] == 1
    values, _ = decoded(payload)
    wanted = table(one)
    assert (np.abs(values - wanted) <= wanted.max(-1, keepdims=True) / payload.header["levels"] + 1e-9).all()


@pytest.mark.parametrize("name", ["plain", "a bias", "a mask", "causal"])
def test_exact_heads_come_back_as_they_were(name: str) -> None:
    made = [exact(reading(**CASES[name]), 2, head) for head in (1, 3)]
    payload = encode_exact(made)
    raw = zlib.decompress(base64.b64decode(payload.data))
    assert len(raw) == payload.header["bytes"] == sum(e.bytes for e in made)
    for one, header in zip(made, payload.header["heads"], strict=True):
        back = Held(header, raw)
        assert (back.layer, back.head, back.site, back.n) == (2, one.head, "blocks.2.attn", 6)
        np.testing.assert_allclose(back.attention(), one.attention(), atol=1e-14)
        np.testing.assert_array_equal(back.logits(), one.logits())
        bias = 0 if one.bias is None else float(one.bias[2, 1])
        assert back.products(2, 1).sum() + bias == pytest.approx(back.logits()[2, 1])


def test_weights_are_held_where_there_are_no_operands() -> None:
    p = torch.softmax(torch.randn(1, 1, 5, 5, generator=torch.Generator().manual_seed(0)), -1)
    one = exact(reading("by hand", batch=1, heads=1, queries=5, keys=5, values={"probs": p}), 0, 0)
    payload = encode_exact([one])
    back = Held(payload.header["heads"][0], zlib.decompress(base64.b64decode(payload.data)))
    assert back.width == 0
    np.testing.assert_array_equal(back.attention(), p[0, 0].double().numpy())


def test_planes_come_back_as_they_were() -> None:
    first, second = joint(), joint(points=joint().points[::-1].copy(), head=1)
    colours = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    payload = encode_joints([first, second], colours)
    raw = zlib.decompress(base64.b64decode(payload.data))
    places = np.frombuffer(raw, "<f4", 16).reshape(2, 4, 2)
    np.testing.assert_array_equal(places, [first.points, second.points])
    assert np.frombuffer(raw, "<u4", 4, 64).tolist() == [0, 5, 0, 1], "tokens, then pictures"
    assert raw[80:] == colours.tobytes()
    assert payload.header["tokens"] == 2
    assert payload.header["pictures"][1] == {"name": "b", "h": 3, "w": 2, "prefix": 1}
    assert [p["head"] for p in payload.header["planes"]] == [2, 1]
    assert payload.header["planes"][0]["correlation"] == {"as they are": -0.5, "scaled too": -0.9}
