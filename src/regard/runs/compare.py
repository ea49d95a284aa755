"""`compare`: many pictures through one plan. A finished picture is one file, written whole; a rerun goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from regard import files
from regard.errors import DataError, RegardError
from regard.progress import track
from regard.results import _plain
from regard.runs.comparison import Comparison
from regard.runs.examine import examine
from regard.runs.plan import Plan
from regard.subjects.forward import Subject

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def compare(
    subject: Callable[[Tensor], Subject],
    pictures: Mapping[str, Callable[[], Tensor]],
    plan: Plan,
    *,
    model: str,
    out: Path | None = None,
) -> Comparison:
    """Examine each picture, or take its record from `out` where it was finished with the same plan, model and picture.

    A picture that fails is told and does not stop the others; nothing of it is kept, so a rerun tries it again.
    """
    records: dict[str, Mapping[str, Any]] = {}
    failed: dict[str, str] = {}
    kept = 0
    for name, load in track(list(pictures.items()), "pictures"):
        try:
            on = subject(load())
            wanted = plan.fingerprint(on.model, on.x)
            path = None if out is None else out / "pictures" / f"{_safe(name)}.json"
            record = None if path is None else finished(path, wanted)
            if record is None:
                record = _plain({"fingerprint": wanted, "picture": name, **examine(on, plan)})
                if path is not None:
                    files.write_text(path, json.dumps(record))
            else:
                kept += 1
            records[name] = record
        except (RegardError, RuntimeError, OSError) as error:  # a picture of its own trouble: the others go on
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    if not records:
        first = next(iter(failed.values()), "there are no pictures")
        raise DataError(f"no picture could be examined: {first}", hint="a folder of photos, or x [B, 3, H, W]")
    return Comparison(plan, model, records, failed, kept)


def finished(path: Path, wanted: str) -> dict[str, Any] | None:
    """A record that was made of the same picture, model and plan."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if record.get("fingerprint") == wanted else None


def pictures_in(folder: Path) -> list[Path]:
    """The photos in a folder, by name."""
    if not folder.is_dir():
        raise DataError(f"no folder '{folder}'", hint="a folder of photos")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"no photo in '{folder}'", hint=f"files ending in {', '.join(sorted(SUFFIXES))}")
    return found


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)
