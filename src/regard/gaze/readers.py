"""Eye data as people keep them -> `Fixations`: tables (CSV, TSV), BIDS, MultiMatch's vectors, OSIE, data frames.

Every reader says which columns it wants when they are missing, and never guesses a unit: a column `duration` without
`_ms` or `_s` in its name needs `duration_unit`.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from regard.errors import DataError, LayoutError
from regard.gaze.data import Fixations, Scanpath

Unit = Literal["s", "ms"]
_SECONDS = {"s": 1.0, "ms": 1e-3}
# What other software calls our columns; the first that is there is taken.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "x": ("x_px", "x", "start_x", "fix_x", "current_fix_x", "fixation_x"),
    "y": ("y_px", "y", "start_y", "fix_y", "current_fix_y", "fixation_y"),
    "observer": ("observer", "subject", "participant", "participant_id", "recording_session_label"),
    "image": ("image", "stimulus", "stim_file", "picture", "page_name", "trial"),
    "index": ("index", "fixation", "order", "current_fix_index", "onset", "onset_ms", "onset_s", "start"),
}


def read(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    duration_unit: Unit | None = None,
    size: tuple[int, int] | None = None,
    per_degree: float | None = None,
) -> Fixations:
    """A table of fixations from `.csv` or `.tsv` (also `.gz`), one row a fixation.

    columns: {"x": "my_x", ...} for x, y, duration, observer, image, index where the names are others. Rows are put
    in the order of `index` (or onset) within a viewing. Rows whose x or y is empty, `n/a` or no number become NaN
    positions, which `inside()` drops. Raises DataError for missing files and columns.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "eyes.csv"
    >>> _ = path.write_text("image,observer,x,y,duration_ms\\na.jpg,7,12,34,250\\n")
    >>> read(path, size=(600, 800))
    Fixations(1 of 1 observers on 1 pictures)
    """
    target = _there(path)
    stem = target.name.removesuffix(".gz")
    if not stem.endswith((".csv", ".tsv", ".txt")):
        raise DataError(f"'{target.name}' is no table that is read here", hint=".csv or .tsv; read_bids for BIDS")
    with _opened(target) as file:
        rows = list(csv.DictReader(file, delimiter="," if stem.endswith(".csv") else "\t"))
    return _table(_columns(rows, str(target)), columns, duration_unit, size, per_degree, str(target))


def from_frame(
    frame: Any,
    *,
    columns: Mapping[str, str] | None = None,
    duration_unit: Unit | None = None,
    size: tuple[int, int] | None = None,
    per_degree: float | None = None,
) -> Fixations:
    """As `read`, from a pandas or polars data frame, or a mapping of columns.

    >>> from_frame({"x": [1.0, 2.0], "y": [3.0, 4.0], "duration_s": [0.2, 0.1]}).duration
    array([0.2, 0.1])
    """
    names = list(frame.keys() if isinstance(frame, Mapping) else frame.columns)
    data = {str(name): list(frame[name]) for name in names}
    return _table(data, columns, duration_unit, size, per_degree, "the frame")


def read_osie(folder: str | os.PathLike[str]) -> Fixations:
    """OSIE as `fixations.csv` (image, observer, index, x_px, y_px, duration_ms): 800 x 600 pixels, 24 of them a degree.

    Raises DataError where the folder lacks the file.
    """
    return read(Path(folder) / "fixations.csv", size=(600, 800), per_degree=24.0)


def read_multimatch(
    path: str | os.PathLike[str], *, size: tuple[int, int] | None = None, per_degree: float | None = None
) -> Scanpath:
    """MultiMatch's fixation vectors: a TSV with the columns start_x, start_y, duration (seconds).

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "one.tsv"
    >>> _ = path.write_text("start_x\\tstart_y\\tduration\\n1.0\\t2.0\\t0.2\\n")
    >>> read_multimatch(path)
    Scanpath(1 fixations by 0 on picture)
    """
    return read(path, duration_unit="s", size=size, per_degree=per_degree).paths()[0]


def read_bids(events: str | os.PathLike[str]) -> Fixations:
    """Fixations out of a BIDS eye-tracking events table (BEP 020): `..._physioevents.tsv(.gz)` or `..._events.tsv`.

    Rows with trial_type (or event) `fixation` are taken; onset and duration are seconds in BIDS. The JSON of the same
    name gives columns where the table has no header, and, by StimulusPresentation, size and scale: ScreenResolution
    (width, height) in pixels, ScreenSize in metres and ScreenDistance in metres. Subject: `sub-` of the file's name.
    """
    target = _there(events)
    stem = target.name.removesuffix(".gz").removesuffix(".tsv")
    side = target.parent / f"{stem}.json"
    told: dict[str, Any] = json.loads(side.read_text(encoding="utf-8")) if side.exists() else {}
    with _opened(target) as file:
        lines = list(csv.reader(file, delimiter="\t"))
    header = [str(c) for c in told["Columns"]] if "Columns" in told else (lines.pop(0) if lines else [])
    data = _columns([dict(zip(header, line, strict=False)) for line in lines], str(target))
    kind = next((data[name] for name in ("trial_type", "event", "type") if name in data), None)
    if kind is not None:
        keep = [at for at, one in enumerate(kind) if str(one).lower().startswith("fix")]
        if not keep:
            raise DataError(f"'{target}' holds no fixation events", hint="a table of events, with fixations among them")
        data = {name: [column[at] for at in keep] for name, column in data.items()}
    names = dict(part.split("-", 1) for part in stem.split("_") if "-" in part)
    if "observer" not in data and "sub" in names:
        data["observer"] = [names["sub"]] * len(next(iter(data.values()), []))
    size, per_degree = _screen(told)
    return _table(data, None, "s", size, per_degree, str(target))


def _screen(told: Mapping[str, Any]) -> tuple[tuple[int, int] | None, float | None]:
    """Size in pixels and pixels of a degree at the middle of the screen, out of BIDS metadata."""
    screen = told.get("StimulusPresentation", told)
    resolution = screen.get("ScreenResolution")
    if not resolution:
        return None, None
    size = (int(resolution[1]), int(resolution[0]))
    wide, far = screen.get("ScreenSize"), screen.get("ScreenDistance")
    if not wide or not far:
        return size, None
    metres = 2.0 * float(far) * np.tan(np.deg2rad(0.5))
    return size, float(metres * resolution[0] / float(wide[0]))


def _there(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if not target.is_file():
        raise DataError(f"no file '{target}'", hint="check the path")
    return target


def _opened(target: Path) -> Any:
    if target.suffix == ".gz":
        return gzip.open(target, "rt", encoding="utf-8", newline="")
    return target.open(encoding="utf-8-sig", newline="")


def _columns(rows: Sequence[Mapping[str, Any]], where: str) -> dict[str, list[Any]]:
    if not rows:
        raise DataError(f"'{where}' holds no rows", hint="one row a fixation, under a header")
    return {name: [row.get(name) for row in rows] for name in rows[0]}


def _table(
    data: Mapping[str, Sequence[Any]],
    columns: Mapping[str, str] | None,
    unit: Unit | None,
    size: tuple[int, int] | None,
    per_degree: float | None,
    where: str,
) -> Fixations:
    """Columns under anybody's names -> Fixations in the order of viewing."""
    given = dict(columns or {})
    wrong = sorted(set(given) - {*_NAMES, "duration"})
    if wrong:
        raise LayoutError(f"columns has '{wrong[0]}'", hint=f"among {', '.join([*_NAMES, 'duration'])}")
    lower = {name.strip().lower().replace(" ", "_"): name for name in data}
    found = {
        ours: given.get(ours) or next((lower[name] for name in theirs if name in lower), None)
        for ours, theirs in _NAMES.items()
    }
    for ours in ("x", "y"):
        if found[ours] not in data:
            raise DataError(f"'{where}' has no column for {ours}", hint=f"columns={{'{ours}': one of {list(data)}}}")
    n = len(data[str(found["x"])])
    xy = np.stack([_numbers(data[str(found[axis])]) for axis in ("x", "y")], axis=1)
    duration = _duration(data, lower, given.get("duration"), unit, where)
    names = {
        ours: [str(one) for one in data[str(found[ours])]] if found[ours] in data else [other] * n
        for ours, other in (("observer", "0"), ("image", "picture"))
    }
    order = np.arange(n)
    if found["index"] in data:
        rank = _numbers(data[str(found["index"])])
        viewing = {key: at for at, key in enumerate(dict.fromkeys(zip(names["image"], names["observer"], strict=True)))}
        place = [viewing[key] for key in zip(names["image"], names["observer"], strict=True)]
        order = np.lexsort((rank, np.array(place)))
    pick = {ours: [column[at] for at in order] for ours, column in names.items()}
    return Fixations(xy[order], duration[order], **pick, size=size, per_degree=per_degree)


def _duration(
    data: Mapping[str, Sequence[Any]], lower: Mapping[str, str], named: str | None, unit: Unit | None, where: str
) -> Any:
    """Seconds, by the unit that was given or that the column's name tells."""
    if named is not None and named not in data:
        raise DataError(f"'{where}' has no column '{named}'", hint=f"one of {', '.join(data)}")
    name = named or next((lower[n] for n in ("duration_ms", "duration_s", "duration", "dur") if n in lower), None)
    if name is None:
        return np.full(len(next(iter(data.values()))), np.nan)
    told = unit or ("ms" if name.lower().endswith("_ms") else "s" if name.lower().endswith("_s") else None)
    if told is None:
        raise DataError(f"the column '{name}' of '{where}' does not tell its unit", hint="duration_unit='s' or 'ms'")
    return _numbers(data[name]) * _SECONDS[told]


def _numbers(column: Sequence[Any]) -> Any:
    """Floats; what is no number becomes NaN."""

    def number(one: Any) -> float:
        try:
            return float(one)
        except (TypeError, ValueError):
            return float("nan")

    return np.array([number(one) for one in column], dtype=np.float64)
