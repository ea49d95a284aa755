"""Weights on disk: found, checked against a pinned digest, kept as safetensors in the user's cache."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from regard import files
from regard.errors import DataError, ExtraError, install
from regard.files import cache_dir

Tensors = dict[str, Tensor]


def digest(tensors: Tensors) -> str:
    """sha256 over names, types, shapes and bytes, in the order of the names: the same in any file format."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.flatten().view(torch.uint8).numpy().data if tensor.numel() else b"")
    return total.hexdigest()


def cached(name: str, expected: str, build: Callable[[], Tensors]) -> Tensors:
    """Tensors whose digest is `expected`: from the cache, else built once and cached whole.

    A cached file that is broken or altered is replaced; a source that gives other tensors is refused.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    path = cache_dir() / f"{name}-{expected[:12]}.safetensors"
    if path.exists():
        try:
            tensors: Tensors = load_file(path)
        except Exception:  # a broken file may fail anywhere: in its header, in JSON, in a shape
            tensors = {}
        if digest(tensors) == expected:
            return tensors
        warnings.warn(f"the cached weights {path} are damaged and are made anew", stacklevel=2)
    tensors = build()
    found = digest(tensors)
    if found != expected:
        raise DataError(
            f"the weights of '{name}' have digest {found[:12]}..., expected {expected[:12]}...",
            hint=f"--force-reinstall: {install('demo')}",
        )
    try:
        with files.whole(path) as draft:
            save_file(tensors, draft)
    except (OSError, SafetensorError) as error:  # the latter is what save_file makes of a full or closed disk
        warnings.warn(f"weights could not be cached in {path.parent} ({error}); set REGARD_CACHE", stacklevel=2)
    return tensors


def packaged_file(package: str, inside: str, expected: str) -> Path:
    """A file inside an installed package (or in $REGARD_WEIGHTS), with its sha256 checked."""
    given = os.environ.get("REGARD_WEIGHTS")
    path = Path(given) / Path(inside).name if given else None
    if path is None or not path.exists():
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ExtraError.missing(package.replace("_", "-"), "demo", "the packaged model")
        path = Path(spec.origin).parent / inside
    if not path.exists():
        raise DataError(f"'{path}' is missing", hint=f"--force-reinstall: {install('demo')}")
    found = files.sha256(path)
    if found != expected:
        raise DataError(
            f"'{path}' has sha256 {found[:12]}..., expected {expected[:12]}...",
            hint=f"the pinned version: {install('demo')}",
        )
    return path
