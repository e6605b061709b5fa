"""The examples of docs/testing.md that are written for pytest pass under pytest (docs-check runs the others)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


EXAMPLES = [
    block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "\ndef test_" in block
]


@pytest.mark.parametrize("example", EXAMPLES, ids=[re.findall(r"def (test_\w+)", each)[0] for each in EXAMPLES])
def test_example(tmp_path: Path, example: str) -> None:
    """The test functions of the page pass as a user would run them, with every warning an error."""
    (tmp_path / "test_example.py").write_text(example)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert f"{example.count('def test_')} passed" in run.stdout, run.stdout + run.stderr
