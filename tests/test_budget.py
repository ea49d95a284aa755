"""A test that computes for too long is red; one that waits, or is named, is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import subprocess, sys, time

BURN = "import time\\nwhile time.process_time() < 0.6: pass"

def test_quick(): pass
def test_waits(): time.sleep(0.6)
def test_burns(): exec(BURN.replace("0.6", str(time.process_time() + 0.6)))
def test_named(): exec(BURN.replace("0.6", str(time.process_time() + 0.6)))
def test_child(): subprocess.run([sys.executable, "-c", BURN], check=True)
def test_wrong(): assert exec(BURN.replace("0.6", str(time.process_time() + 0.6)))
"""


def test_only_what_computes_too_long_is_red(root: Path, tmp_path: Path) -> None:
    plugin = (root / "tests" / "budget.py").read_text(encoding="utf-8")
    plugin = plugin.replace("LONGEST = 90.0", "LONGEST = 0.4").replace("= {}", '= {"test_it.py::test_named": 9.0}')
    (tmp_path / "conftest.py").write_text(plugin)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "test_it.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    failed = {line.split("::")[1].split(" ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")}
    assert failed == {"test_burns", "test_child", "test_wrong"}, done.stdout
    assert done.stdout.count("more than 0.4: make it leaner") >= 2
    assert "assert None" in done.stdout  # a test that is wrong says so, however long it took
