from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regard.errors import CallError
from regard.softmax import _compiled

COMPILER = next(filter(None, map(shutil.which, _compiled.COMPILERS)), None)
there = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")

PROGRAM = """
import sys, torch, regard as rg
print("ready", flush=True)
sys.stdin.readline()
x = torch.linspace(-1, 1, 3 * 81 * 8).view(3, 1, 1, 81, 8)
pattern = rg.patterns.neighborhood((9, 9), 3)
one, other = (rg.attend(*x, pattern=pattern, impl=impl).out for impl in ("native", "tiled"))
assert (one - other).abs().max() < 1e-6
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source that is built in no time."""
    source = tmp_path / "tiny.cpp"
    source.write_text('extern "C" void regard_attend(const void *) {}\n')
    monkeypatch.setattr(_compiled, "SOURCE", source)
    return source


@there
def test_it_is_built_once(cache: Path, tiny: Path) -> None:
    one = _compiled.library()
    assert one is _compiled.library()
    (kept,) = cache.iterdir()
    written = kept.stat().st_mtime_ns
    _compiled._loaded.cache_clear()
    _compiled.library()
    assert [p.stat().st_mtime_ns for p in cache.iterdir()] == [written]


@there
def test_what_it_depends_on_is_in_its_name(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert COMPILER is not None
    keys = [_compiled._key(COMPILER)]
    monkeypatch.setattr(_compiled, "_processor", lambda: "another")
    keys.append(_compiled._key(COMPILER))
    monkeypatch.setattr(_compiled, "FLAGS", ("-O0", "-shared"))
    keys.append(_compiled._key(COMPILER))
    tiny.write_text("// another\n")
    keys.append(_compiled._key(COMPILER))
    keys.append(_compiled._key("true"))  # says no version
    assert len(set(keys)) == 5


@there
def test_a_damaged_library_is_built_anew(cache: Path, tiny: Path) -> None:
    assert COMPILER is not None
    cache.mkdir()
    path = cache / f"native-{_compiled._key(COMPILER)}.so"
    path.write_bytes(b"half")
    assert _compiled.library().regard_attend
    assert path.stat().st_size > 1000


@there
def test_a_compiler_that_does_not_know_this_machine(cache: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compiled, "OWN", "-march=nonsense")
    assert _compiled.library().regard_attend
    assert [path.suffix for path in cache.iterdir()] == [".so"]  # built without that option, and kept


def test_refusals(cache: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if COMPILER is not None:
        tiny.write_text("this is no C++;\n")
        with pytest.raises(CallError, match=r"does not build tiny\.cpp: .*error"):
            _compiled.library()
        assert list(cache.iterdir()) == []  # no draft is left
        cache.rmdir()
        cache.write_text("a file in the folder's place")
        with pytest.raises(CallError, match=r"cannot be kept in .*cache") as refused:
            _compiled.library()
        assert "REGARD_CACHE" in refused.value.hint
    monkeypatch.setattr(_compiled, "COMPILERS", ("no-such-compiler",))
    with pytest.raises(CallError, match=r"there is no C\+\+ compiler \(no-such-compiler\)"):
        _compiled.library()


@there
@pytest.mark.slow
def test_two_processes_at_once(cache: Path) -> None:
    """The real one, by its public name; both end well, and one library and no draft are left."""
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [process.stdout.readline() for process in running if process.stdout] == ["ready\n"] * 2
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate() for process in running] == [("", "")] * 2
    assert [process.returncode for process in running] == [0, 0]
    assert [p.suffix for p in cache.iterdir()] == [".so"]
