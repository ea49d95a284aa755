"""Kernels of `triton`: attention of a tile of queries to the box of keys that it sees, and both ways back.

A tile is a box of queries; its keys are a box that starts exactly where its first query's interval starts. Both are
read where they lie in the picture; `places` tells where. So nothing is permuted, copied or padded, and in a dilated
pattern places lie further apart. Backward goes along queries for dQ and along keys for dK and dV, where a tile of keys
reads the box of queries that see it: every number is written once, by one program, in one order.

Arguments in a tuple stand for axes 0, 1, 2 or are strides. ends `[3, 2, .]`: where each query's interval starts and
stops. tiles `[3, ., 6]`: residue, first step, steps, first step and steps of the box on the other side, and whether all
of it is seen by all, so that no mask is needed. room_k and room_v: powers of two that rows of keys and values are read
as. Imported only where it runs, for it needs triton.
"""
# mypy: ignore-errors
# A kernel is compiled from its source by triton, in a language that only looks like Python.

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
@no_type_check
def tile(tiles, axis: tl.constexpr, row, most):
    """A row of the table of tiles of an axis."""
    at = tiles + (axis * most + row) * 6
    return tl.load(at), tl.load(at + 1), tl.load(at + 2), tl.load(at + 3), tl.load(at + 4), tl.load(at + 5)


@triton.jit
@no_type_check
def places(f, counts, starts, residues, dilations, axes):
    """Steps on each axis of the f-th token of a box, and its places."""
    rest = f // counts[2]
    s0, s1, s2 = starts[0] + rest // counts[1], starts[1] + rest % counts[1], starts[2] + f % counts[2]
    p0, p1, p2 = (residues[0] + dilations[0] * s0, residues[1] + dilations[1] * s1, residues[2] + dilations[2] * s2)
    return (s0, s1, s2), (p0, p1, p2), (p0 * axes[1] + p1) * axes[2] + p2


@triton.jit
@no_type_check
def inside(ends, longest, query, key, there, here, whole):
    """Which pairs of queries (by places) and keys (by steps) are seen, `[Q, K]`; there, here: those that are real."""
    seen = there[:, None] & here[None, :]
    if whole == 0:
        for axis in tl.static_range(3):
            lo = tl.load(ends + 2 * axis * longest + query[axis], mask=there, other=0)
            hi = tl.load(ends + (2 * axis + 1) * longest + query[axis], mask=there, other=0)
            seen = seen & (lo[:, None] <= key[axis][None, :]) & (key[axis][None, :] < hi[:, None])
    return seen


@triton.jit
@no_type_check
def scores(q, k, seen, query, key, scale, table, head, sizes, keep, tabled: tl.constexpr, padded: tl.constexpr):
    """Logits in base 2; query, key: places; keep: of each key, for padding; sizes: strides, middle and length."""
    logits = tl.dot(q, tl.trans(k), input_precision="tf32x3") * (scale * LOG2E)
    if tabled:
        at = key[0] * sizes[0] + key[1] * sizes[1] + key[2] * sizes[2]
        of = query[0] * sizes[0] + query[1] * sizes[1] + query[2] * sizes[2]
        place = at[None, :] - of[:, None] + sizes[3]
        seen = seen & (place >= 0) & (place < sizes[4])
        logits += tl.load(table + head * sizes[4] + place, mask=seen, other=0.0).to(tl.float32) * LOG2E
    if padded:
        seen = seen & (keep != 0)[None, :]
    return tl.where(seen, logits, float("-inf"))


@triton.jit
@no_type_check
def rows(x, token, there, stride, width, room: tl.constexpr):
    """Rows of a matrix, zeros where there are none."""
    d = tl.arange(0, room)
    at = x + token[:, None].to(tl.int64) * stride[2] + d[None, :] * stride[3]
    return tl.load(at, mask=there[:, None] & (d < width)[None, :], other=0.0)


@triton.jit
@no_type_check
def put(x, value, token, there, width, room: tl.constexpr):
    """Write rows, of a matrix without gaps."""
    d = tl.arange(0, room)
    at = x + token[:, None].to(tl.int64) * width + d[None, :]
    tl.store(at, value.to(x.dtype.element_ty), mask=there[:, None] & (d < width)[None, :])


@triton.jit
@no_type_check
def chosen(tiles, most, counts, row):
    """Residues, starts and steps of a tile, starts and steps of the box on the other side, and whether all is seen."""
    r0, s0, n0, a0, m0, w0 = tile(tiles, 0, row // (counts[1] * counts[2]), most)
    r1, s1, n1, a1, m1, w1 = tile(tiles, 1, row // counts[2] % counts[1], most)
    r2, s2, n2, a2, m2, w2 = tile(tiles, 2, row % counts[2], most)
    return (r0, r1, r2), (s0, s1, s2), (n0, n1, n2), (a0, a1, a2), (m0, m1, m2), w0 * w1 * w2


@triton.jit
@no_type_check
def forward(
    q, k, v, out, lse, ends, tiles, table, keep, strides_q, strides_k, strides_v, heads, groups, widths, axes_q, axes_k,
    dilations, counts, longest, most, tokens, sizes, scale, tabled: tl.constexpr, padded: tl.constexpr,
    shape: tl.constexpr, many: tl.constexpr, room_k: tl.constexpr, room_v: tl.constexpr,
):  # fmt: skip
    """Output and log sum exp of a tile of queries of one head."""
    row, lead = tl.program_id(0), tl.program_id(1).to(tl.int64)
    b, h = lead // heads, lead % heads
    residues, first, real, start, span, whole = chosen(tiles, most, counts, row)
    f = tl.arange(0, shape[0] * shape[1] * shape[2])
    steps, query, token = places(f, shape, first, residues, dilations, axes_q)
    there = (steps[0] < first[0] + real[0]) & (steps[1] < first[1] + real[1]) & (steps[2] < first[2] + real[2])
    mine = rows(q + b * strides_q[0] + h * strides_q[1], token, there, strides_q, widths[0], room_k)
    k += b * strides_k[0] + h // groups * strides_k[1]
    v += b * strides_v[0] + h // groups * strides_v[1]
    top = tl.full((shape[0] * shape[1] * shape[2],), float("-inf"), tl.float32)
    total = tl.zeros_like(top)
    made = tl.zeros((shape[0] * shape[1] * shape[2], room_v), tl.float32)
    held = span[0] * span[1] * span[2]
    for at in range(0, held, many):
        g = at + tl.arange(0, many)
        step, key, number = places(g, span, start, residues, dilations, axes_k)
        real_key = g < held
        seen = inside(ends, longest, query, step, there, real_key, whole)
        kept = tl.load(keep + b * tokens[1] + number, mask=real_key, other=0) if padded else number
        near = rows(k, number, real_key, strides_k, widths[0], room_k)
        logits = scores(mine, near, seen, query, key, scale, table, h, sizes, kept, tabled, padded)
        higher = tl.maximum(top, tl.max(logits, 1))
        base = tl.where(higher == float("-inf"), 0.0, higher)
        weight, shrink = tl.exp2(logits - base[:, None]), tl.exp2(top - base)
        total = total * shrink + tl.sum(weight, 1)
        values = rows(v, number, real_key, strides_v, widths[1], room_v)
        made = made * shrink[:, None] + tl.dot(weight.to(values.dtype), values, input_precision="tf32x3")
        top = higher
    blind = total == 0.0
    made = made / tl.where(blind, 1.0, total)[:, None]
    put(out + lead * tokens[0] * widths[1], made, token, there, widths[1], room_v)
    sums = tl.where(blind, float("-inf"), (top + tl.log2(tl.where(blind, 1.0, total))) / LOG2E)
    tl.store(lse + lead * tokens[0] + token, sums, mask=there)


@triton.jit
@no_type_check
def backward_q(
    q, k, v, grad, lse, delta, dq, ends, tiles, table, keep, strides_q, strides_k, strides_v, heads, groups, widths,
    axes_q, axes_k, dilations, counts, longest, most, tokens, sizes, scale, tabled: tl.constexpr,
    padded: tl.constexpr, shape: tl.constexpr, many: tl.constexpr, room_k: tl.constexpr, room_v: tl.constexpr,
):  # fmt: skip
    """dQ = s dS K of a tile of queries of one head, dS = P (dO V^T - delta)."""
    row, lead = tl.program_id(0), tl.program_id(1).to(tl.int64)
    b, h = lead // heads, lead % heads
    residues, first, real, start, span, whole = chosen(tiles, most, counts, row)
    f = tl.arange(0, shape[0] * shape[1] * shape[2])
    steps, query, token = places(f, shape, first, residues, dilations, axes_q)
    there = (steps[0] < first[0] + real[0]) & (steps[1] < first[1] + real[1]) & (steps[2] < first[2] + real[2])
    mine = rows(q + b * strides_q[0] + h * strides_q[1], token, there, strides_q, widths[0], room_k)
    given = rows(grad + lead * tokens[0] * widths[1], token, there, (0, 0, widths[1], 1), widths[1], room_v)
    sums = tl.load(lse + lead * tokens[0] + token, mask=there, other=0.0) * LOG2E
    sums = tl.where(sums == float("-inf"), 0.0, sums)
    less = tl.load(delta + lead * tokens[0] + token, mask=there, other=0.0)
    k += b * strides_k[0] + h // groups * strides_k[1]
    v += b * strides_v[0] + h // groups * strides_v[1]
    made = tl.zeros((shape[0] * shape[1] * shape[2], room_k), tl.float32)
    held = span[0] * span[1] * span[2]
    for at in range(0, held, many):
        g = at + tl.arange(0, many)
        step, key, number = places(g, span, start, residues, dilations, axes_k)
        real_key = g < held
        seen = inside(ends, longest, query, step, there, real_key, whole)
        kept = tl.load(keep + b * tokens[1] + number, mask=real_key, other=0) if padded else number
        near = rows(k, number, real_key, strides_k, widths[0], room_k)
        logits = scores(mine, near, seen, query, key, scale, table, h, sizes, kept, tabled, padded)
        values = rows(v, number, real_key, strides_v, widths[1], room_v)
        product = tl.dot(given, tl.trans(values), input_precision="tf32x3")
        change = tl.exp2(logits - sums[:, None]) * (product - less[:, None])
        made += tl.dot(change.to(near.dtype), near, input_precision="tf32x3")
    put(dq + lead * tokens[0] * widths[0], made * scale, token, there, widths[0], room_k)


@triton.jit
@no_type_check
def backward_kv(
    q, k, v, grad, lse, delta, dk, dv, ends, tiles, table, keep, strides_q, strides_k, strides_v, heads, groups, widths,
    axes_q, axes_k, dilations, counts, longest, most, tokens, sizes, scale, tabled: tl.constexpr,
    padded: tl.constexpr, shape: tl.constexpr, many: tl.constexpr, room_k: tl.constexpr, room_v: tl.constexpr,
):  # fmt: skip
    """dK = s dS^T Q and dV = P^T dO of a tile of keys, over the heads that share it; many: queries at a time."""
    row, lead = tl.program_id(0), tl.program_id(1).to(tl.int64)
    shared = heads // groups
    b, owner = lead // shared, lead % shared
    residues, first, real, start, span, whole = chosen(tiles, most, counts, row)
    f = tl.arange(0, shape[0] * shape[1] * shape[2])
    step, key, number = places(f, shape, first, residues, dilations, axes_k)
    here = (step[0] < first[0] + real[0]) & (step[1] < first[1] + real[1]) & (step[2] < first[2] + real[2])
    mine = rows(k + b * strides_k[0] + owner * strides_k[1], number, here, strides_k, widths[0], room_k)
    values = rows(v + b * strides_v[0] + owner * strides_v[1], number, here, strides_v, widths[1], room_v)
    kept = tl.load(keep + b * tokens[1] + number, mask=here, other=0) if padded else number
    made_k = tl.zeros((shape[0] * shape[1] * shape[2], room_k), tl.float32)
    made_v = tl.zeros((shape[0] * shape[1] * shape[2], room_v), tl.float32)
    held = span[0] * span[1] * span[2]
    for one in range(groups):
        h = owner * groups + one
        both = b * heads + h
        for at in range(0, held, many):
            g = at + tl.arange(0, many)
            there = g < held
            _, query, token = places(g, span, start, residues, dilations, axes_q)
            seen = inside(ends, longest, query, step, there, here, whole)
            theirs = rows(q + b * strides_q[0] + h * strides_q[1], token, there, strides_q, widths[0], room_k)
            given = rows(grad + both * tokens[0] * widths[1], token, there, (0, 0, widths[1], 1), widths[1], room_v)
            sums = tl.load(lse + both * tokens[0] + token, mask=there, other=0.0) * LOG2E
            sums = tl.where(sums == float("-inf"), 0.0, sums)
            less = tl.load(delta + both * tokens[0] + token, mask=there, other=0.0)
            logits = scores(theirs, mine, seen, query, key, scale, table, h, sizes, kept, tabled, padded)
            weight = tl.exp2(logits - sums[:, None])
            made_v += tl.dot(tl.trans(weight.to(given.dtype)), given, input_precision="tf32x3")
            product = tl.dot(given, tl.trans(values), input_precision="tf32x3")
            change = weight * (product - less[:, None])
            made_k += tl.dot(tl.trans(change.to(theirs.dtype)), theirs, input_precision="tf32x3")
    put(dk + lead * tokens[1] * widths[0], made_k * scale, number, here, widths[0], room_k)
    put(dv + lead * tokens[1] * widths[1], made_v, number, here, widths[1], room_v)
