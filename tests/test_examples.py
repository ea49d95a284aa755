"""Every example runs, in a process of its own, and says something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


def test_the_readme_shows_the_tested_lines(root: Path) -> None:
    code = (root / "examples" / "ten_lines.py").read_text(encoding="utf-8").split('"""', 2)[2].strip()
    assert code in (root / "README.md").read_text(encoding="utf-8")
