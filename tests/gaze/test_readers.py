"""Eye data in other people's files: the same fixations whatever the form, and no unit guessed."""

from __future__ import annotations

import gzip
import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from regard.errors import DataError, LayoutError
from regard.gaze.data import same
from regard.gaze.readers import from_frame, read, read_bids, read_multimatch, read_osie

ROWS = "image,observer,index,x_px,y_px,duration_ms\na.jpg,1,1,30,40,200\na.jpg,1,0,10,20,100\nb.jpg,2,0,5,6,300\n"


def test_a_table_in_the_order_of_viewing(tmp_path: Path) -> None:
    path = tmp_path / "fixations.csv"
    path.write_text(ROWS)
    got = read_osie(tmp_path)
    assert got.xy.tolist() == [[10, 20], [30, 40], [5, 6]]  # by index, not by row
    assert np.allclose(got.duration, [0.1, 0.2, 0.3])
    assert (got.size, got.per_degree, got.images) == ((600, 800), 24.0, ["a.jpg", "b.jpg"])


def test_all_forms_hold_the_same(tmp_path: Path) -> None:
    csv, tsv, packed = tmp_path / "a.csv", tmp_path / "a.tsv", tmp_path / "a.tsv.gz"
    csv.write_text("\ufeff" + ROWS, encoding="utf-8")
    tsv.write_text(ROWS.replace(",", "\t"))
    packed.write_bytes(gzip.compress(tsv.read_bytes()))
    first = read(csv)
    assert same(first, read(tsv))
    assert same(first, read(packed))
    if find_spec("pandas"):
        assert same(first, from_frame(import_module("pandas").read_csv(csv)))


def test_other_names_and_units() -> None:
    frame = {"where_x": [1, 2], "y": [3, "n/a"], "time": [150, 250], "Subject": ["s", "s"]}
    got = from_frame(frame, columns={"x": "where_x", "duration": "time"}, duration_unit="ms")
    assert got.observers == ["s"]
    assert np.allclose(got.duration, [0.15, 0.25])
    assert np.isnan(got.xy[1, 1])


def test_bids(tmp_path: Path) -> None:
    path = tmp_path / "sub-07_task-free_physioevents.tsv.gz"
    lines = "0.5\t0.2\tfixation\t400\t300\n0.7\t0.03\tsaccade\tn/a\tn/a\n0.1\t0.3\tfixation\t10\t20\n"
    path.write_bytes(gzip.compress(lines.encode()))
    side = {
        "Columns": ["onset", "duration", "trial_type", "x", "y"],
        "StimulusPresentation": {"ScreenResolution": [800, 600], "ScreenSize": [0.4, 0.3], "ScreenDistance": 0.6},
    }
    (tmp_path / "sub-07_task-free_physioevents.json").write_text(json.dumps(side))
    got = read_bids(path)
    assert got.xy.tolist() == [[10, 20], [400, 300]]
    assert got.duration.tolist() == [0.3, 0.2]
    assert (got.observers, got.size) == (["07"], (600, 800))
    assert got.per_degree == pytest.approx(2 * 0.6 * np.tan(np.pi / 360) * 800 / 0.4)
    (tmp_path / "sub-08_events.tsv").write_text("onset\tduration\ttrial_type\tx\ty\n0\t1\tsaccade\t1\t1\n")
    with pytest.raises(DataError, match=r"holds no fixation events"):
        read_bids(tmp_path / "sub-08_events.tsv")


def test_multimatch(tmp_path: Path) -> None:
    path = tmp_path / "one.tsv"
    path.write_text("start_x\tstart_y\tduration\n1\t2\t0.5\n3\t4\t0.25\n")
    got = read_multimatch(path, size=(720, 1280))
    assert (got.xy.tolist(), got.duration.tolist(), got.size) == ([[1, 2], [3, 4]], [0.5, 0.25], (720, 1280))


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y,duration\n1,2,200\n")
    with pytest.raises(DataError, match=r"'duration' of .* does not tell its unit\n  try: duration_unit='s' or 'ms'"):
        read(path)
    with pytest.raises(LayoutError, match="are they milliseconds"):
        read(path, duration_unit="s")
    with pytest.raises(LayoutError, match="columns has 'z'"):
        read(path, columns={"z": "x"})
    with pytest.raises(DataError, match="no column 'time'"):
        read(path, columns={"duration": "time"})
    with pytest.raises(DataError, match="no file"):
        read(tmp_path / "b.csv")
    path.write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match=r"no column for x\n  try: columns=\{'x': one of \['a', 'y'\]"):
        read(path)
    path.write_text("x,y\n")
    with pytest.raises(DataError, match="holds no rows"):
        read(path)
    (tmp_path / "a.mat").write_text("")
    with pytest.raises(DataError, match=r"'a.mat' is no table"):
        read(tmp_path / "a.mat")
