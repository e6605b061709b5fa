"""The pages, docstrings, comments and messages use plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parent.parent
READ = {".css", ".html", ".js", ".md", ".py", ".toml"}
"""The suffixes of the files that people read."""
ABOUT_PYTEST = {"conftest.py", "pyproject.toml", "test_pytest_plugin.py", "tiers.py"}
"""Files about plugins of pytest."""
BANNED = re.compile(
    r"\b(?:whoever|nobody|somebody|anybody|everybody|of ours|his settings|thrifty|unleased)\b"
    r"|(?<!pytest )\bplug-?ins?\b"
    r"|(?-i:\b(?:BEHAVIOUR|DESIGN|CACHES|CREDENTIALS|EXEMPLARS)(?:\.md\b| §))",
    re.IGNORECASE,
)
"""Words that have a plainer one, the old name of a front door, and pages that the repository does not ship."""


def shipped() -> Iterator[Path]:
    """Every text file of the repository, except this one."""
    for folder in ("src", "integrations", "docs", "example_projects", "bench", "tests"):
        for path in (TOP / folder).rglob("*"):
            if path.suffix in READ and path.is_file() and "node_modules" not in path.parts and path != Path(__file__):
                yield path
    yield from (path for path in TOP.iterdir() if path.suffix in READ)


def test_no_shipped_file_has_a_banned_word() -> None:
    """Sentences, messages and names say who does what. The list has only words that are never right."""
    found = [
        f"{path.relative_to(TOP)}:{number}: {word[0]}"
        for path in shipped()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for word in BANNED.finditer(line.replace("_", " ") if path.suffix == ".py" else line)
        if "plug" not in word[0].lower() or path.name not in ABOUT_PYTEST
    ]
    assert not found, "\n".join(found)
