"""The examples of docs/testing.md that are written for pytest pass under pytest (docs-check runs the others)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def test_fixtures_example(tmp_path: Path) -> None:
    """The test functions of the page pass as a user would run it, with every warning an error."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (example,) = (block for block in blocks if "\ndef test_" in block)
    (tmp_path / "test_example.py").write_text(example)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "2 passed" in run.stdout, run.stdout + run.stderr
