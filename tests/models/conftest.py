"""What tests of models share: a machine without a network."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Nobody has an address, nothing connects, caches are empty; what was asked for is listed."""
    constants = pytest.importorskip("huggingface_hub.constants")
    asked: list[str] = []

    def refuse(host: Any, *_: Any, **__: Any) -> Any:
        asked.append(host.decode() if isinstance(host, bytes) else str(host))
        raise socket.gaierror(-2, "Name or service not known")

    def closed(*_: Any, **__: Any) -> Any:
        asked.append("a connection")
        raise OSError("network is unreachable")

    for proxy in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HF_ENDPOINT"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", closed)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return asked
