"""Files that are whole or absent: written beside their place, flushed, then renamed into it."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to; at the end it becomes `path` in one step, or vanishes on an error.

    >>> import tempfile, pathlib
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> with whole(target) as draft:
    ...     _ = draft.write_text("all of it")
    >>> target.read_text()
    'all of it'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.part")  # names have at most 255 bytes
    try:
        mode = _fresh_mode(draft)
        yield draft
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        if draft.stat().st_mode != mode:  # some writers (safetensors) make their files private
            draft.chmod(mode)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _fresh_mode(draft: Path) -> int:
    """The permissions that a new file gets here: asking for the umask itself would have to change it."""
    draft.touch(exist_ok=False)
    mode = draft.stat().st_mode
    draft.unlink()  # so that a body that writes nothing fails, rather than leaving an empty file
    return mode


def cache_dir() -> Path:
    """$REGARD_CACHE, or the place that the operating system gives to caches."""
    if given := os.environ.get("REGARD_CACHE"):
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("regard")


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write UTF-8 text, whole or not at all."""
    with whole(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return Path(path)


def sha256(path: str | os.PathLike[str]) -> str:
    """Hex digest of a file, read in pieces."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
