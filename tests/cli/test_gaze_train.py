"""What is wrong is told before anything runs; training itself is in tests/gaze/test_trained.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from regard.cli import app
from regard.errors import DataError


def test_a_size_that_is_none() -> None:
    done = CliRunner().invoke(app, ["gaze", "train", "eyes.csv", ".", "--size", "80"])
    assert done.exit_code == 2
    assert "width x height" in done.output


@pytest.mark.slow
def test_a_published_network_tells_that_it_began_at_random_weights(tmp_path: Path) -> None:
    rows = []
    for i in range(2):
        Image.new("RGB", (20, 16), (40 * i, 90, 90)).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,a,{5 + i},4,200\n")
    (tmp_path / "eyes.csv").write_text("image,observer,x,y,duration_ms\n" + "".join(rows))
    run = ["gaze", "train", str(tmp_path / "eyes.csv"), str(tmp_path), "--size", "20x16", "--out", str(tmp_path / "w")]
    run += ["--epochs", "1", "--architecture", "juntingnet"]
    done = CliRunner().invoke(app, run)
    assert done.exit_code == 2
    assert "--per-degree" in done.output
    done = CliRunner().invoke(app, [*run, "--per-degree", "2", "--held", "2", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["architecture"], told["pretrained"], told["learnt"]) == ("juntingnet", False, 1)
    assert len(told["losses"]) == 1
    assert (tmp_path / "w").exists()
    words = CliRunner().invoke(app, [*run, "--per-degree", "2", "--held", "0"]).output
    assert "juntingnet, from random weights, on 2 photos" in words


def test_photos_that_are_missing(tmp_path: Path) -> None:
    eyes = tmp_path / "eyes.csv"
    eyes.write_text("image,observer,x,y,duration_ms\n" + "".join(f"{i}.png,a,4,4,200\n" for i in range(5)))
    done = CliRunner().invoke(app, ["gaze", "train", str(eyes), str(tmp_path), "--out", str(tmp_path / "w")])
    assert isinstance(done.exception, DataError)
    with pytest.raises(DataError, match="5 are missing"):
        raise done.exception
    assert not (tmp_path / "w").exists()
