from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

import regard as rg
from regard.errors import DataError, ImageError
from regard.runs import compare as module
from regard.runs.compare import compare, finished, pictures_in
from regard.testing.planted import PlantedCNN, planted_pictures

from .planted_run import PLAN, go, pictures, subject


def without_time(records: object) -> object:
    """Records without the seconds, which no two runs share."""
    return json.loads(json.dumps(records), object_hook=lambda d: {k: v for k, v in d.items() if k != "seconds"})


def test_a_rerun_takes_what_is_finished_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = go(tmp_path, 2)
    seen = []
    plain = module.examine
    monkeypatch.setattr(module, "examine", lambda on, plan: seen.append(1) or plain(on, plan))
    more = go(tmp_path, 3)
    assert (len(seen), more.kept, len(more.records)) == (1, 2, 3)
    assert [more.records[n] for n in first.records] == list(first.records.values())
    path = tmp_path / "pictures" / "p0.json"
    path.write_text(path.read_text()[:100])  # as if it had been torn
    assert go(tmp_path, 3).kept == 2
    assert go(tmp_path, 1, replace(PLAN, seed=1)).kept == 0  # another plan


def test_a_picture_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    def broken() -> None:
        raise ImageError("unreadable", hint="another")

    got = compare(subject, {"bad": broken, **pictures(1)}, PLAN, model="planted", out=tmp_path)  # type: ignore[dict-item]
    assert got.failed == {"bad": "ImageError: unreadable"}
    assert list(got.records) == ["p0"]
    with pytest.raises(DataError, match="no picture could be examined: ImageError"):
        compare(subject, {"bad": broken}, PLAN, model="planted")  # type: ignore[dict-item]


def test_the_verb_takes_a_batch_or_a_folder(tmp_path: Path) -> None:
    x = planted_pictures([(1, 1), (5, 6)])
    how = {"methods": ["gradcam"], "metrics": ["mu_fidelity"], "baselines": ["mean"], "cells": 4, "orders": 3}
    got = rg.compare(PlantedCNN(), x, **how)
    assert list(got.records) == ["picture 0", "picture 1"]
    alone = rg.compare(PlantedCNN(), x[1:], **how)
    assert without_time(alone.records["picture 0"]["scores"]) == without_time(got.records["picture 1"]["scores"])
    with pytest.raises(DataError, match="no photo in"):
        rg.compare(PlantedCNN(), tmp_path, **how)
    with pytest.raises(DataError, match="no folder"):
        pictures_in(tmp_path / "none")


def test_a_rerun_from_nothing_writes_the_same_bytes(tmp_path: Path) -> None:
    plan = replace(PLAN, baselines=("black", "white", "mean", "blur", "uniform"), metrics=("deletion", "saco"))
    for name in ("one", "two"):
        go(tmp_path / name, 2, plan).save(tmp_path / name)
    for file in ("comparison.json", "scores.csv", "scores.parquet", "claims.csv", "leaderboard.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    told = json.loads((tmp_path / "one" / "comparison.json").read_text())
    assert [row[0] for row in told["masked"]["rows"]] == ["black", "white", "mean", "blur", "uniform"]
    assert "seconds" not in (tmp_path / "one" / "comparison.json").read_text()
    assert "seconds" in (tmp_path / "one" / "cost.csv").read_text()
    assert told["made with"]["regard"] == rg.__version__


@pytest.mark.slow
def test_killing_at_random_moments_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """kill -9 at 20 random moments; what was finished stays as it was written, and the end is that of a calm run."""
    calm = go(tmp_path / "calm", 12)
    out, rng = tmp_path / "killed", random.Random(0)
    start = time.monotonic()
    go(None, 12)
    whole = time.monotonic() - start
    before: dict[str, str] = {}
    for _ in range(20):
        child = multiprocessing.get_context("fork").Process(target=go, args=(out, 12))
        child.start()
        time.sleep(rng.uniform(0, whole / 6))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        now = {p.name: p.read_text() for p in (out / "pictures").glob("*.json")} if out.exists() else {}
        assert before.items() <= now.items()  # nothing lost, nothing written twice
        for text in now.values():
            json.loads(text)
        before = now
    last = go(out, 12)
    assert last.kept == len(before)
    assert without_time(last.records) == without_time(calm.records)
    assert len(list((out / "pictures").glob("p*.json"))) == 12


def test_a_record_of_another_kind_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert finished(path, "x") is None
    path.write_text('{"fingerprint": "y"}')
    assert finished(path, "x") is None
    assert finished(path, "y") == {"fingerprint": "y"}
