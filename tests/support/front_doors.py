"""The front doors: the files at the top of ``m2m_auth`` that define an ``M2MAuth``. A new one is found by its file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import m2m_auth

FRONT_DOORS = sorted(
    path.stem for path in Path(m2m_auth.__path__[0]).glob("*.py") if "class M2MAuth(" in path.read_text("utf-8")
)
INSTALLED = [name for name in FRONT_DOORS if find_spec(name)]  # httpx2 needs Python 3.11
