"""Files are whole or absent: after success, error, interrupt, and when two write at once."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from regard import files


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which no draft may be left."""
    yield tmp_path
    assert [p.name for p in tmp_path.rglob("*.part")] == []


def test_success_replaces_in_one_step(folder: Path) -> None:
    target = folder / "a.txt"
    target.write_text("old")
    with files.whole(target) as draft:
        draft.write_text("new")
        assert target.read_text() == "old"
        assert draft.parent == target.parent  # else the rename would be a copy
    assert target.read_text() == "new"


def test_folders_are_made(folder: Path) -> None:
    with files.whole(folder / "b" / "c" / "a.txt") as draft:
        draft.write_text("x")
    assert (folder / "b" / "c" / "a.txt").read_text() == "x"


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", ["old", None])
def test_an_exception_leaves_what_was_there(kind: type[BaseException], old: str | None, folder: Path) -> None:
    target = folder / "a.txt"
    if old is not None:
        target.write_text(old)

    def half() -> None:
        with files.whole(target) as draft:
            draft.write_text("half")
            raise kind

    with pytest.raises(kind):
        half()
    assert (target.read_text() if target.exists() else None) == old


def test_a_body_that_writes_nothing_makes_no_empty_file(folder: Path) -> None:
    with pytest.raises(FileNotFoundError), files.whole(folder / "a.txt"):
        pass
    assert not (folder / "a.txt").exists()


def test_a_target_that_cannot_be_replaced_leaves_no_draft(folder: Path) -> None:
    (folder / "a").mkdir()
    with pytest.raises(OSError, match="a"), files.whole(folder / "a") as draft:
        draft.write_text("x")
    assert (folder / "a").is_dir()


def test_concurrent_writers_never_mix(folder: Path) -> None:
    target, seen, errors = folder / "a.txt", set(), []
    target.write_text("0" * 50_000)
    stop = threading.Event()

    def write(letter: str) -> None:
        try:
            for _ in range(20):
                files.write_text(target, letter * 50_000)
        except OSError as error:
            errors.append(error)

    def read() -> None:
        while not stop.is_set():
            seen.add(target.read_text())

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(letter,)) for letter in "abc"]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert errors == []
    assert all(len(text) == 50_000 and len(set(text)) == 1 for text in seen)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
@pytest.mark.parametrize("private", [False, True])
def test_permissions_follow_the_umask(umask: int, mode: int, private: bool, folder: Path) -> None:
    """Also where a writer, as safetensors does, replaces the draft by a private file of its own."""
    before = os.umask(umask)
    try:
        with files.whole(folder / "a.txt") as draft:
            draft.write_text("x")
            if private:
                draft.chmod(0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "a.txt").stat().st_mode) == mode


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127])
def test_a_name_as_long_as_a_name_may_be(name: str, folder: Path) -> None:
    files.write_text(folder / name, "x")
    assert (folder / name).read_text() == "x"


def test_write_text_is_utf8_and_gives_the_path(folder: Path) -> None:
    assert files.write_text(str(folder / "a.txt"), "sühe ✓") == folder / "a.txt"
    assert (folder / "a.txt").read_bytes() == "sühe ✓".encode()


def test_sha256_is_that_of_the_bytes(folder: Path) -> None:
    content = bytes(range(256)) * 5000
    (folder / "a").write_bytes(content)
    assert files.sha256(folder / "a") == hashlib.sha256(content).hexdigest()
    (folder / "empty").write_bytes(b"")
    assert files.sha256(folder / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
