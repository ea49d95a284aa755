"""Many photos, one model: a report each and a page over all. Finished photos are kept when a run starts again."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regard import __version__, files
from regard.errors import DataError, RegardError
from regard.looking.headview import HeadSettings
from regard.looking.look import Looker, Settings, printable
from regard.models.picture import SAMPLES, read_picture
from regard.progress import track
from regard.report.index import write_index
from regard.report.write import write


@dataclass(frozen=True)
class Done:
    """One photo of a batch: its folder and summary, or why it failed; kept: it was finished before."""

    source: str
    folder: Path
    summary: dict[str, Any] | None = None
    error: str | None = None
    kept: bool = False


def look_at(sources: Sequence[str], settings: Settings, out: Path, *, fresh: bool = False) -> list[Done]:
    """Look at every photo; one that fails does not stop the others. The model is loaded when first needed."""
    _make_folder(out)
    looker: Looker | None = None
    done: list[Done] = []
    for source, name in track(list(zip(sources, folder_names(sources), strict=True)), "photos"):
        folder = out / name
        try:
            print_of_it = fingerprint(source, settings)
            kept = None if fresh else finished(folder, print_of_it)
            if kept is not None:
                done.append(Done(source, folder, kept, kept=True))
                continue
            picture = read_picture(source)  # before the model is loaded: a wrong path should not cost seconds
            looker = looker or Looker(settings)
            write(looker.look(picture, source=source), folder, print_of_it)
            done.append(Done(source, folder, finished(folder, print_of_it)))
        except Exception as error:  # whatever it is, the other photos deserve their reports
            expected = isinstance(error, RegardError | OSError)  # OSError: no permission, a full disk
            done.append(Done(source, folder, error=str(error) if expected else f"{type(error).__name__}: {error}"))
    if len(done) > 1:
        write_index(out, [entry(one) for one in done])
    return done


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot write to '{out}': {error.strerror}", hint="--out FOLDER, one that you may write to"
        ) from error


def folder_names(sources: Sequence[str]) -> list[str]:
    """A folder name for each source: its stem, numbered where two are the same."""
    names: list[str] = []
    for source in sources:
        stem = re.sub(r"[^\w.-]+", "_", Path(source.removeprefix("sample:")).stem).strip("._") or "photo"
        name, count = stem, 1
        while name in names:
            count += 1
            name = f"{stem}-{count}"
        names.append(name)
    return names


def fingerprint(source: str, settings: Settings | HeadSettings) -> str:
    """What decides a report: the picture's bytes, the settings, the version."""
    path = Path(source).expanduser()
    bare = source.removeprefix("sample:") in SAMPLES and not path.is_file()
    picture = source if bare or not path.is_file() else files.sha256(path)
    facts = json.dumps([picture, asdict(settings), __version__], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()


def finished(folder: Path, wanted: str, parts: Sequence[str] = ("report.html", "thumb.jpg")) -> dict[str, Any] | None:
    """The summary of a complete folder that was made from the same picture and settings."""
    path = folder / "summary.json"
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = all((folder / name).is_file() for name in parts)
    return summary if whole and summary.get("fingerprint") == wanted else None


def entry(done: Done) -> dict[str, Any]:
    """One photo's place on the index page."""
    if done.summary is None:
        first = (done.error or "").splitlines()[0]
        return {"name": printable(Path(done.source).name), "error": printable(first)}
    levels = [line["level"] for line in done.summary["trust"]]
    thumbnail = base64.b64encode((done.folder / "thumb.jpg").read_bytes()).decode()
    return {
        "name": done.summary["name"],
        "href": f"{done.folder.name}/report.html",
        "thumbnail": f"data:image/jpeg;base64,{thumbnail}",
        "lead": done.summary["lead"],
        "counts": {level: levels.count(level) for level in ("good", "note", "warn")},
    }
