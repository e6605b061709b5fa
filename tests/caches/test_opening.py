"""The table of caches is complete: each cache's file has a row, and each row's class passes the contract."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from m2m_auth import caches
from m2m_auth.caches.opening import CACHES, KnownCache

FILES = sorted(Path(caches.__path__[0]).rglob("*.py"))
TESTS = [path for path in Path(__file__).parent.glob("test_*.py") if "CacheContract" in path.read_text("utf-8")]


def test_every_cache_has_a_row() -> None:
    """A class with ``from_url`` or ``from_client`` is a cache that ``cache=`` can open."""
    openable = {
        node.name
        for path in FILES
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
        and {each.name for each in node.body if isinstance(each, ast.FunctionDef)} & {"from_url", "from_client"}
    }
    assert openable == {row.class_name for row in CACHES}


@pytest.mark.parametrize("row", CACHES, ids=lambda row: row.module)
def test_every_row_opens_a_cache(row: KnownCache) -> None:
    """A row with schemes needs ``from_url``, and one with client packages ``from_client``."""
    cache_class = getattr(importlib.import_module(f"m2m_auth.caches.{row.module}"), row.class_name)
    assert hasattr(cache_class, "from_url") or not row.schemes
    assert hasattr(cache_class, "from_client") or not row.client_packages


@pytest.mark.parametrize("row", CACHES, ids=lambda row: row.module)
def test_every_row_has_a_contract_test(row: KnownCache) -> None:
    """A file beside this one is named for the cache and subclasses ``CacheContract``."""
    assert [path for path in TESTS if path != Path(__file__) and row.module in path.stem]
