from __future__ import annotations

from pathlib import Path

import numpy as np

import regard as rg
from regard.report.gaze import summary, write


def test_a_picture_and_its_summary(tmp_path: Path) -> None:
    heat = rg.Map(np.eye(5)[None], rg.Grid(5, 5), "drawn")
    photo = np.full((50, 50, 3), 90, dtype=np.uint8)
    plain = write(heat, photo, [], tmp_path / "plain.png")
    drawn = write(heat, photo, np.array([[10.0, 12.34]]), tmp_path / "drawn.png")
    assert plain.read_bytes()[:4] == drawn.read_bytes()[:4] == b"\x89PNG"
    assert plain.read_bytes() != drawn.read_bytes()
    told = summary(heat, np.array([[10.0, 12.34]]), drawn, (50, 100))
    assert [(r["centre"], r["box"]) for r in told["regions"]] == [
        ([50.0, 25.0], [0, 0, 100, 50])
    ]  # pixels of the photo
    assert (told["method"], told["fixations"], told["picture"]) == ("drawn", [[10.0, 12.3]], str(drawn))
    assert "values" not in told
