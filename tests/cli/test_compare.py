from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from regard.cli import app


@pytest.mark.slow
def test_the_command_writes_records_tables_and_a_page(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{i}.png")
    how = ["--model", "random:test_vit", "--methods", "gradient, rollout", "--metrics", "mu_fidelity"]
    how += ["--baselines", "mean", "--cells", "4", "--orders", "3", "--out", str(tmp_path / "out"), "--json"]
    first = CliRunner().invoke(app, ["compare", str(photos), *how])
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert Path(told["report"]).read_text().count("<table>") >= 4
    assert {row[2] for row in told["leaderboard"]["rows"]} >= {"gradient", "rollout", "random", "centre", "edges"}
    again = CliRunner().invoke(app, ["compare", str(photos), *how[:-1]])
    assert "2 finished before" in again.output
    assert "pictures needed" in again.output
    assert "forwards" in again.output
    assert "choice kept with half of the cells gone: black" in again.output
    assert (tmp_path / "out" / "scores.csv").exists()


def test_names_are_split_at_commas() -> None:
    from regard.cli.compare import _split

    assert _split("a, b,,c ") == ["a", "b", "c"]
