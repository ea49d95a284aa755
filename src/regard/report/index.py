"""One page over many reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regard import files
from regard.report.html import environment_of_templates


def write_index(folder: Path, entries: Sequence[Mapping[str, Any]]) -> Path:
    """entries: name, href, thumbnail (a data address), lead, counts of trust levels; or name and error."""
    page = environment_of_templates().get_template("index.html").render(entries=entries)
    return files.write_text(folder / "index.html", page)
