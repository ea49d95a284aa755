"""What is wrong is told before anything runs; training itself is in tests/gaze/test_trained.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from regard.cli import app
from regard.errors import DataError


def test_a_size_that_is_none() -> None:
    done = CliRunner().invoke(app, ["gaze", "train", "eyes.csv", ".", "--size", "80"])
    assert done.exit_code == 2
    assert "width x height" in done.output


def test_photos_that_are_missing(tmp_path: Path) -> None:
    eyes = tmp_path / "eyes.csv"
    eyes.write_text("image,observer,x,y,duration_ms\n" + "".join(f"{i}.png,a,4,4,200\n" for i in range(5)))
    done = CliRunner().invoke(app, ["gaze", "train", str(eyes), str(tmp_path), "--out", str(tmp_path / "w")])
    assert isinstance(done.exception, DataError)
    with pytest.raises(DataError, match="5 are missing"):
        raise done.exception
    assert not (tmp_path / "w").exists()
