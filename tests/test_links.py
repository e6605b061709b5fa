"""Every relative link in the pages that users read leads to a file that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PAGES = [
    page.relative_to(TOP)
    for pattern in ("*.md", "docs/*.md", "integrations/*/README.md", "example_projects/*/README.md", "bench/README.md")
    for page in sorted(TOP.glob(pattern))
]
LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]+)")
"""The path of a link or an image. Addresses with a scheme, and links inside a page, are not files."""


def test_pages_are_found() -> None:
    """The patterns find the pages of every folder, and the links in them."""
    assert {page.parts[0] for page in PAGES} >= {"README.md", "CONTRIBUTING.md", "docs", "integrations", "bench"}
    assert len(LINK.findall((TOP / "README.md").read_text("utf-8"))) > 20


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_relative_links_lead_to_files(page: Path) -> None:
    """A file that moves takes its links with it."""
    links = LINK.findall((TOP / page).read_text("utf-8"))
    assert [link for link in links if not (TOP / page.parent / link).exists()] == []


def test_readers_find_every_page() -> None:
    """Each page for users is linked from README.md; those for maintainers from CONTRIBUTING.md."""
    linked = {
        (TOP / link).resolve()
        for page in ("README.md", "CONTRIBUTING.md")
        for link in LINK.findall((TOP / page).read_text("utf-8"))
    }
    of_another_page = {"own-cache.md"}  # of caches.md
    pages = {page for page in (TOP / "docs").glob("*.md") if page.name not in of_another_page}
    assert {page.name for page in pages if page.resolve() not in linked} == set()
