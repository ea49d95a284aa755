"""`regard gaze` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from regard.cli import app
from regard.errors import MethodError


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["gaze", *arguments])


def test_pictures_and_words(tmp_path: Path) -> None:
    done = invoke(
        "sample:coffee", "sample:chelsea", "--method", "pft", "--fixations", "3", "--out", str(tmp_path / "new")
    )
    assert done.exit_code == 0, done.output
    assert "43 x 64 values" in done.output
    assert "saliency, no share of looks" in done.output
    assert done.output.count("peaks in order (x, y): (") == 2
    names = ["chelsea-pft.png", "coffee-pft.png", "report.html"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == names
    paths = ("picture: ", "report: ")
    assert all(len(line) <= 80 for line in done.output.splitlines() if not line.startswith(paths))


def test_a_photo_needs_no_command_and_a_density_speaks_of_looks(tmp_path: Path) -> None:
    done = invoke("sample:coffee", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "shares of looks" in done.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["coffee-gaze_dinov2.png", "report.html"]
    page = (tmp_path / "report.html").read_text()
    assert "enclose the share of looks" in page
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("http-equiv", "")
    assert "train" in CliRunner().invoke(app, ["gaze", "--help"]).output
    assert "--fixations" in CliRunner().invoke(app, ["gaze", "show", "--help"]).output


def test_json_and_a_photo_that_cannot_be_read(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no photo")
    done = CliRunner().invoke(
        app, ["gaze", str(bad), "sample:coffee", "--method", "signature", "--json", "--out", str(tmp_path)]
    )
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert "is not a picture" in told[0]["error"]
    assert (told[1]["method"], len(told[1]["fixations"])) == ("signature", 6)
    assert Path(told[1]["picture"]).exists()


def test_a_flat_photo_has_no_peaks(tmp_path: Path) -> None:
    flat = tmp_path / "flat.png"
    Image.fromarray(np.full((40, 50, 3), 128, dtype=np.uint8)).save(flat)
    done = invoke(str(flat), "--method", "bms", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "peaks in order" not in done.output


def test_errors_are_ours() -> None:
    done = invoke("sample:coffee", "--method", "bmz")
    assert isinstance(done.exception, MethodError)


def test_photos_of_one_name_keep_their_pictures(tmp_path: Path) -> None:
    for folder, level in (("a", 60), ("b", 200)):
        (tmp_path / folder).mkdir()
        photo = np.full((30, 40, 3), level, dtype=np.uint8)
        photo[8:14, 20:26] = 255 - level
        Image.fromarray(photo).save(tmp_path / folder / "one.png")
    done = invoke(*(str(tmp_path / f / "one.png") for f in "ab"), "--method", "pft", "--out", str(tmp_path / "new"))
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "new").glob("*.png")) == ["one-pft-2.png", "one-pft.png"]


def test_only_the_learnt_predictor_knows_of_time() -> None:
    assert isinstance(invoke("sample:coffee", "--method", "bms", "--when", "early").exception, MethodError)
    assert isinstance(invoke("sample:coffee", "--when", "soon").exception, MethodError)
