"""`library`: native.cpp as a shared library, built once by this machine's C++ compiler and kept in the cache."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import platform
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from regard import files
from regard.errors import CallError

SOURCE = Path(__file__).with_name("native.cpp")
COMPILERS = ("c++", "g++", "clang++")
# -ffast-math is not here: -inf means what is not seen, and NaN has to come through.
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread", "-fno-math-errno", "-fno-trapping-math")
OWN = "-march=native"  # not known to every compiler on every machine


def library() -> ctypes.CDLL:
    """The functions of native.cpp.

    Raises CallError where no C++ compiler is found, and where it cannot build the file.
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise CallError(
            f"impl='native' is built at first use, and there is no C++ compiler ({', '.join(COMPILERS)})",
            hint="install one (Debian: apt install g++), or impl='tiled'",
        )
    return _loaded(compiler, files.cache_dir())


@functools.cache
def _loaded(compiler: str, where: Path) -> ctypes.CDLL:
    path = where / f"native-{_key(compiler)}.so"
    try:
        made = _opened(path, compiler)
    except OSError as error:
        raise CallError(
            f"the library of impl='native' cannot be kept in {where}: {error}",
            hint="set REGARD_CACHE to a folder for files that may be executed, or impl='tiled'",
        ) from error
    made.regard_attend.argtypes = [ctypes.c_void_p]
    made.regard_attend.restype = None
    return made


def _opened(path: Path, compiler: str) -> ctypes.CDLL:
    """Built where it is not there, and anew where it is damaged."""
    if path.exists():
        with suppress(OSError):
            return ctypes.CDLL(str(path))
    with files.whole(path) as draft:
        _build(compiler, draft)
    return ctypes.CDLL(str(path))


def _build(compiler: str, target: Path) -> None:
    """With this machine's own instructions, or without where the compiler cannot tell them."""
    for own in ([OWN], []):
        command = [compiler, *FLAGS, *own, "-o", str(target), str(SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return
    told = next((line for line in done.stderr.splitlines() if "error" in line), f"exit status {done.returncode}")
    raise CallError(f"{compiler} does not build {SOURCE.name}: {told}", hint="another compiler first, or impl='tiled'")


def _key(compiler: str) -> str:
    """What the library depends on: the source, how it is built, by whom and for which processor."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    parts = (SOURCE.read_text(encoding="utf-8"), *FLAGS, OWN, version, _processor())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    """Homes are shared between machines, whose processors differ in what they know."""
    info = Path("/proc/cpuinfo")
    first = info.read_text(encoding="utf-8").split("\n\n")[0].splitlines() if info.exists() else []
    told = [line for line in first if line.startswith(("model name", "flags", "Features"))]
    return "\n".join([platform.machine(), platform.processor(), *told])
