"""What watching costs: time and peak memory against a plain forward, and against what people do today.

    python benchmarks/watch.py           prints a table and writes benchmarks/results/watch.json
    python benchmarks/watch.py --quick   fewer rounds
    python benchmarks/watch.py --peers   only the other libraries again

TransformerLens 4 has no model of its own any more and reads language models of a hub: it is not among them.

A ViT-S of two layers (random weights; cost does not depend on them) at 197, 1,370 and 4,097 tokens, one picture. All
ways run in one process, in turn, on one thread, and are timed by the process's own CPU time, for machines are shared;
ratios are taken round by round and told as median and quartiles. Peak memory is the growth of the resident set over
its value before the run, each way in a fresh process. The gate runs first.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

import regard as rg

RESULTS = Path(__file__).resolve().parent / "results" / "watch.json"
SIDES = {197: 224, 1370: 518, 4097: 896}  # tokens: side of the picture; patches of 16, 14 and 14
FULL = ["entropy", "received", "distance"]


def build(tokens: int, depth: int = 2) -> tuple[nn.Module, Tensor]:
    patch = 16 if tokens == 197 else 14
    model = timm.create_model(
        "vit_small_patch16_224", pretrained=False, img_size=SIDES[tokens], patch_size=patch, depth=depth, num_classes=10
    )
    for p in model.parameters():
        p.requires_grad_(False)
    return model.eval(), torch.randn(1, 3, SIDES[tokens], SIDES[tokens])


def watched(model: nn.Module, x: Tensor, keep: Any, **given: Any) -> None:
    with torch.no_grad(), rg.watch(model, keep=keep, **given):
        model(x)


def plain(model: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        model(x)


def hooked(model: Any, x: Tensor, look: Callable[[Tensor], object] = lambda p: p) -> list[object]:
    """What people do today: switch the fused kernel off, and keep every map by a hook on attn_drop."""
    kept: list[object] = []
    hooks = [b.attn.attn_drop.register_forward_hook(lambda _, __, p: kept.append(look(p))) for b in model.blocks]
    for block in model.blocks:
        block.attn.fused_attn = False
    try:
        with torch.no_grad():
            model(x)
    finally:
        for block, hook in zip(model.blocks, hooks, strict=True):
            block.attn.fused_attn = True
            hook.remove()
    return kept


def same_numbers(p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Entropy, received mass and distance of a map that is held in memory."""
    side = math.isqrt(p.shape[-1] - 1)
    on_patches = p[..., 1:]
    entropy = -(p * p.clamp_min(1e-30).log2()).sum(-1)
    among = on_patches[:, :, 1:]
    return entropy, p.mean(2), (among * rg.Grid(side, side).distances()).sum(-1) / among.sum(-1)


def trained(model: nn.Module, x: Tensor) -> None:
    """Forward and backward to the pixels, as any gradient explanation needs it."""
    x = x.clone().requires_grad_()
    torch.autograd.grad(model(x)[0, 3], x)


def streamed(model: nn.Module, x: Tensor) -> None:
    x = x.clone().requires_grad_()
    with rg.watch(model, keep="gradient_received") as record:
        record.backward(model(x)[0, 3])


def retained(model: Any, x: Tensor) -> list[Tensor]:
    """Attention times its gradient from maps that are all kept with their gradients."""
    kept: list[Tensor] = []

    def hook(_: nn.Module, __: Any, p: Tensor) -> None:
        p.retain_grad()
        kept.append(p)

    hooks = [b.attn.attn_drop.register_forward_hook(hook) for b in model.blocks]
    for block in model.blocks:
        block.attn.fused_attn = False
    try:
        x = x.clone().requires_grad_()
        model(x)[0, 3].backward()
        return [(p * p.grad).clamp_min(0).mean(2) for p in kept]  # type: ignore[operator]
    finally:
        for block, one in zip(model.blocks, hooks, strict=True):
            block.attn.fused_attn = True
            one.remove()


FORWARD: dict[str, Callable[[Any, Tensor], object]] = {
    "plain forward": plain,
    "watch, nothing kept": partial(watched, keep=()),
    "watch, CLS rows": partial(watched, keep="row"),
    "watch, sample of 8: entropy mass distance": partial(watched, keep=FULL, sample=8),
    "watch, entropy mass distance": partial(watched, keep=FULL),
    "hooks that store maps": hooked,
    "hooks, then the same numbers": partial(hooked, look=same_numbers),
}
BACKWARD: dict[str, Callable[[Any, Tensor], object]] = {
    "plain forward and backward": trained,
    "watch, attention x gradient": streamed,
    "retain_grad on stored maps": retained,
}


def hf_vit(tokens: int, implementation: str) -> tuple[Any, Tensor]:
    """The same network as transformers builds it."""
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=384, num_hidden_layers=2, num_attention_heads=6, intermediate_size=1536,
        image_size=SIDES[tokens], patch_size=16 if tokens == 197 else 14, attn_implementation=implementation,
    )  # fmt: skip
    return ViTModel(config, add_pooling_layer=False).eval(), torch.randn(1, 3, SIDES[tokens], SIDES[tokens])


def hf_plain(tokens: int) -> Callable[[], object]:
    model, x = hf_vit(tokens, "sdpa")
    return partial(plain, model, x)


def hf_output_attentions(tokens: int) -> Callable[[], object]:
    model, x = hf_vit(tokens, "eager")

    def run() -> object:
        with torch.no_grad():
            return model(x, output_attentions=True).attentions

    return run


def nnsight_trace(tokens: int) -> Callable[[], object]:
    """nnsight keeps the maps that the eager implementation hands out."""
    import nnsight

    model, x = hf_vit(tokens, "eager")
    traced = nnsight.NNsight(model)

    def run() -> object:
        with torch.no_grad():
            with traced.trace(x):
                kept = nnsight.save([layer.attention.output[1] for layer in traced.layers])
            return kept  # noqa: RET504 - nnsight binds the name when its block ends

    return run


def prisma_cache(tokens: int) -> Callable[[], object]:
    """ViT-Prisma's own ViT of the same size, which makes every matrix by hand, with a cache of the patterns."""
    from vit_prisma.configs.HookedViTConfig import HookedViTConfig
    from vit_prisma.models.base_vit import HookedViT

    config = HookedViTConfig(
        n_layers=2, d_model=384, d_head=64, n_heads=6, d_mlp=1536, n_classes=10, eps=1e-6,
        image_size=SIDES[tokens], patch_size=16 if tokens == 197 else 14,
    )  # fmt: skip
    model, x = HookedViT(config).eval(), torch.randn(1, 3, SIDES[tokens], SIDES[tokens])

    def run() -> object:
        with torch.no_grad():
            return model.run_with_cache(x, names_filter=lambda name: name.endswith("hook_pattern"))

    return run


def hf_watched(tokens: int) -> Callable[[], object]:
    model, x = hf_vit(tokens, "sdpa")
    return partial(watched, model, x, keep=FULL[:2])


PEERS: dict[str, Callable[[int], Callable[[], object]]] = {
    "transformers ViT, plain sdpa": hf_plain,
    "watch, entropy mass": hf_watched,
    "eager output_attentions=True": hf_output_attentions,
    "nnsight, maps of eager saved": nnsight_trace,
    "ViT-Prisma, run_with_cache of patterns": prisma_cache,
}


def peers(tokens: int) -> dict[str, Callable[[], object]]:
    """Those that are installed, each ready to run."""
    ready = {}
    for name, make in PEERS.items():
        try:
            ready[name] = make(tokens)
        except ImportError as error:
            print(f"left out: {name} ({error})")
    return ready


def gate(tokens: int) -> None:
    """The watched output is bitwise the plain one; numbers and gradients equal those of the stored maps."""
    model, x = build(tokens)
    with torch.no_grad():
        expected = model(x)
        with rg.watch(model, keep=FULL) as record:
            assert torch.equal(model(x), expected)
    for reading, slow in zip(record, hooked(model, x, same_numbers), strict=True):
        entropy, mass, distance = slow  # type: ignore[misc]
        torch.testing.assert_close(reading["entropy"], entropy, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(reading["received"], mass, atol=1e-5, rtol=1e-3)
        torch.testing.assert_close(reading["distance"][..., 1:], distance, atol=1e-3, rtol=1e-3)
    with rg.watch(model, keep="gradient_received") as record:
        record.backward(model(x)[0, 3])
    for reading, slow_one in zip(record, retained(model, x), strict=True):
        torch.testing.assert_close(reading["gradient_received"], slow_one, atol=1e-6, rtol=1e-2)


def timed(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def ratios(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Quartiles of each way's time over the first's of the same round; of the first, seconds."""
    first, *others = ways
    for run in ways.values():
        run()
    seconds: list[float] = []
    found: dict[str, list[float]] = {name: [] for name in others}
    for _ in range(rounds):
        seconds.append(timed(ways[first]))
        for name in others:
            found[name].append(timed(ways[name]) / seconds[-1])
    told = {f"{first}, seconds": statistics.quantiles(seconds, n=4)}
    return told | {name: statistics.quantiles(values, n=4) for name, values in found.items()}


def peak(tokens: int, name: str) -> float:
    """MiB by which a way's peak resident set exceeds what is held before it, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--peak", name, "--tokens", str(tokens)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def measure_peak(tokens: int, name: str) -> float:
    model, x = build(tokens)
    small = build(197)
    run = {**FORWARD, **BACKWARD}[name]
    run(*small)  # whatever is loaded on first use
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    run(model, x)
    return resident("VmHWM") - before


def resident(which: str) -> float:
    """MiB as Linux tells it: VmRSS is held now, VmHWM is the peak."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(which)).split()[1]) / 1024


def at(tokens: int, rounds: int, before: dict[str, Any] | None) -> dict[str, Any]:
    """Everything at one size; only the peers again where the rest was measured before."""
    gate(tokens)
    if before is not None:
        return before | {"time": before["time"] | ratios(peers(tokens), rounds)}
    model, x = build(tokens)
    told = ratios({name: partial(run, model, x) for name, run in FORWARD.items()}, rounds)
    told |= ratios({name: partial(run, model, x) for name, run in BACKWARD.items()}, rounds)
    told |= ratios(peers(tokens), rounds)
    memory = {name: peak(tokens, name) for name in {**FORWARD, **BACKWARD}}
    return {"time": told, "peak MiB": memory}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--peak")
    parser.add_argument("--tokens", type=int, choices=SIDES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.peak:
        print(measure_peak(given.tokens, given.peak))
        return
    known = json.loads(RESULTS.read_text()) if given.peers else {}
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    }
    for tokens in [given.tokens] if given.tokens else SIDES:
        rounds = 5 if given.quick else {197: 41, 1370: 15, 4097: 7}[tokens]
        found[str(tokens)] = at(tokens, rounds, known.get(str(tokens)))
        print(f"\n{tokens} tokens: time over plain (quartiles), peak MiB")
        for name, (low, middle, high) in found[str(tokens)]["time"].items():
            memory = found[str(tokens)]["peak MiB"].get(name.removesuffix(", seconds"))
            shown = "" if memory is None else f"{memory:8.0f}"
            print(f"  {name:45} {middle:6.2f} ({low:.2f}-{high:.2f}) {shown}")
    if not given.tokens:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
