"""Many photos: names, what is kept, what is done again, and failures that stay with their own photo."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regard.errors import DataError
from regard.looking.look import Look, Looker, Settings
from regard.models.picture import Picture
from regard.report import batch as module
from regard.report import write as write_module
from regard.report.batch import Done, entry, fingerprint, finished, folder_names, look_at
from regard.report.write import write as genuine_write

from ..looking.vits import planted
from .pages import Page

QUICK = Settings(model="planted", orders=3, steps=2)


class Run:
    """Batches that give every photo the same look, counting looks and loads; pages and figures are left out."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, look: Look) -> None:
        self.folder, self.patch, self.looks, self.loads = folder, patch, 0, 0
        run = self

        class Counting(Looker):
            def __init__(self, settings: Settings) -> None:
                run.loads += 1
                super().__init__(settings, given=planted())

            def look(self, picture: Picture, *, source: str = "") -> Look:
                run.looks += 1
                return replace(look, name=picture.name, source=source)

        patch.setattr(module, "Looker", Counting)
        patch.setattr(write_module, "sheets", lambda _: {})
        patch.setattr(write_module, "render", lambda drawn: f"page of {drawn.look.name}")

    def photo(self, name: str, colour: int = 200) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(colour).integers(0, colour, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return str(path)

    def __call__(self, *sources: str, settings: Settings = QUICK, fresh: bool = False) -> list[Done]:
        self.looks = self.loads = 0
        return look_at(sources, settings, self.folder / "out", fresh=fresh)

    def page(self) -> Page:
        return Page((self.folder / "out" / "index.html").read_text(encoding="utf-8"))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted_look: Look) -> Run:
    return Run(tmp_path, monkeypatch, planted_look)


def test_folders_are_named_after_the_photos_and_numbered_where_two_are_the_same() -> None:
    assert folder_names(["a/x.jpg", "b/x.png", "x-2.jpg", "c/x.jpg"]) == ["x", "x-2", "x-2-2", "x-3"]
    assert folder_names(["sample:coffee", "dog.v2.jpg", "写真.png"]) == ["coffee", "dog.v2", "写真"]
    assert folder_names(["<script>.png", "..", ".png", "a b/c d?.jpg"]) == ["script", "photo", "png", "c_d"]


def test_each_photo_gets_its_folder_and_a_place_on_the_index(run: Run) -> None:
    done = run(run.photo("a/x.png"), run.photo("b/x.png", 99), run.photo("y.png"))
    assert [one.folder.name for one in done] == ["x", "x-2", "y"]
    assert all(one.summary is not None and one.error is None and not one.kept for one in done)
    assert (run.looks, run.loads) == (3, 1)
    links = [attrs["href"] for attrs in run.page().all("a")]
    assert links[::2] == ["x/report.html", "x-2/report.html", "y/report.html"]
    assert all((run.folder / "out" / str(link)).is_file() for link in links)


def test_one_photo_needs_no_index(run: Run) -> None:
    run(run.photo("x.png"))
    assert not (run.folder / "out" / "index.html").exists()


def test_finished_photos_are_kept(run: Run) -> None:
    sources = [run.photo("x.png"), run.photo("y.png")]
    first = run(*sources)
    again = run(*sources, run.photo("z.png"))
    assert [one.kept for one in again] == [True, True, False]
    assert (run.looks, run.loads) == (1, 1)
    assert [one.summary for one in again[:2]] == [one.summary for one in first]
    run(*sources)
    assert run.loads == 0, "nothing to do: no model is loaded"
    assert len(run.page().all("img")) == 2


@pytest.mark.parametrize(
    "changed", [{"patches": 99}, {"target": "void"}, {"orders": 4}, {"steps": 3}, {"seed": 1}, {"model": "other"}]
)
def test_changed_settings_look_again(run: Run, changed: dict[str, Any]) -> None:
    source = run.photo("x.png")
    assert fingerprint(source, QUICK) == fingerprint(source, replace(QUICK))
    assert fingerprint(source, QUICK) != fingerprint(source, replace(QUICK, **changed))
    if "seed" in changed:
        run(source)
        assert not run(source, settings=replace(QUICK, **changed))[0].kept
        assert run.looks == 1


def test_changed_bytes_look_again_a_copy_elsewhere_does_not(run: Run) -> None:
    source = run.photo("x.png")
    run(source)
    copy = run.folder / "elsewhere" / "x.png"
    copy.parent.mkdir()
    copy.write_bytes(Path(source).read_bytes())
    assert run(str(copy))[0].kept
    run.photo("x.png", colour=100)
    assert not run(source)[0].kept


def test_another_version_looks_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    source = run.photo("x.png")
    before = fingerprint(source, QUICK)
    monkeypatch.setattr(module, "__version__", "999")
    assert fingerprint(source, QUICK) != before


def test_fresh_looks_again(run: Run) -> None:
    source = run.photo("x.png")
    run(source)
    assert not run(source, fresh=True)[0].kept
    assert run.looks == 1


@pytest.mark.parametrize("lost", ["report.html", "thumb.jpg", "summary.json"])
def test_a_folder_that_lost_a_file_is_done_again(run: Run, lost: str) -> None:
    source = run.photo("x.png")
    (done,) = run(source, run.photo("y.png"))[:1]
    (done.folder / lost).unlink()
    assert not run(source, run.photo("y.png"))[0].kept
    assert (done.folder / lost).is_file()


def test_a_summary_that_cannot_be_read_is_no_summary(tmp_path: Path) -> None:
    for name in ("report.html", "thumb.jpg"):
        (tmp_path / name).touch()
    for text in ("", "{", '{"fingerprint": "other"}'):
        (tmp_path / "summary.json").write_text(text)
        assert finished(tmp_path, "wanted") is None
    (tmp_path / "summary.json").write_text('{"fingerprint": "wanted"}')
    assert finished(tmp_path, "wanted") == {"fingerprint": "wanted"}


def test_a_failing_photo_does_not_stop_the_others_and_is_on_the_index(run: Run) -> None:
    torn = run.folder / "torn.png"
    torn.write_bytes(Path(run.photo("whole.png")).read_bytes()[:300])
    done = run(str(torn), run.photo("x.png"), "missing.png", "sample:nobody", str(run.folder))
    assert [one.error is None for one in done] == [False, True, False, False, False]
    assert "damaged or cut short" in str(done[0].error)
    assert "no file 'missing.png'" in str(done[2].error)
    shown = run.page().shown
    for name in ("torn.png", "missing.png", "sample:nobody", "no bundled photo 'nobody'"):
        assert name in shown
    assert not (run.folder / "out" / "torn").exists()


def test_a_photo_that_may_not_be_read_does_not_stop_the_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    locked, open_one = run.photo("locked.png"), run.photo("x.png")
    genuine = module.files.sha256

    def sha256(path: Path) -> str:
        if path.name == "locked.png":
            raise PermissionError(13, "Permission denied", str(path))
        return genuine(path)

    monkeypatch.setattr(module.files, "sha256", sha256)
    done = run(locked, open_one)
    assert "Permission denied" in str(done[0].error)
    assert done[1].error is None


def test_an_error_that_nobody_foresaw_does_not_stop_the_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = module.read_picture

    def read(source: str) -> Picture:
        if "odd" in source:
            raise ZeroDivisionError("by the width")
        return genuine(source)

    monkeypatch.setattr(module, "read_picture", read)
    done = run(run.photo("odd.png"), run.photo("x.png"))
    assert [one.error for one in done] == ["ZeroDivisionError: by the width", None]


def test_a_model_that_cannot_be_had_is_said_of_each_photo(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(settings: Settings) -> Looker:
        raise DataError("no weights", hint="another model")

    monkeypatch.setattr(module, "Looker", gone)
    assert [one.error for one in run(run.photo("x.png"), run.photo("y.png"))] == [
        "no weights\n  try: another model"
    ] * 2


def test_a_missing_photo_does_not_cost_loading_the_model(run: Run) -> None:
    run("missing.png")
    assert run.loads == 0


def test_a_killed_run_is_taken_up_where_it_was(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [run.photo("x.png"), run.photo("y.png"), run.photo("z.png")]

    def killed(look: Look, folder: Path, fingerprint: str = "") -> Path:
        if folder.name == "y":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(write_module, "render", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
                return genuine_write(look, folder, fingerprint)
        return genuine_write(look, folder, fingerprint)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            run(*sources)
    assert not (run.folder / "out" / "y" / "summary.json").exists()
    assert not (run.folder / "out" / "z").exists()
    assert [one.kept for one in run(*sources)] == [True, False, False]
    assert run.looks == 2


def test_entries_hold_what_the_index_shows(run: Run) -> None:
    (one,) = run(run.photo("x.png"))
    assert one.summary is not None
    shown = entry(one)
    assert shown["href"] == "x/report.html"
    assert shown["lead"] == one.summary["lead"]
    levels = [line["level"] for line in one.summary["trust"]]
    assert shown["counts"] == {level: levels.count(level) for level in ("good", "note", "warn")}
    assert shown["thumbnail"].startswith("data:image/jpeg;base64,/9j/")
    failed = entry(Done("caf\udce9.png", Path("x"), error="torn\n  try: again"))
    assert failed == {"name": "caf?.png", "error": "torn"}
    json.dumps(failed)


def test_fingerprints_of_samples_go_by_name() -> None:
    assert fingerprint("sample:coffee", QUICK) != fingerprint("sample:chelsea", QUICK)


def test_a_batch_of_real_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_looks: None) -> None:
    """Nothing left out: two photos, a model by name, pages that lead to each other."""
    sources = ["sample:chelsea", "sample:coffee"]
    settings = Settings(model="random:test_vit")
    done = look_at(sources, settings, tmp_path)
    assert [one.error for one in done] == [None, None]
    for one in done:
        assert Page((one.folder / "report.html").read_text(encoding="utf-8")).header["layers"] == 6
    assert [one.kept for one in look_at(sources, settings, tmp_path)] == [True, True]
