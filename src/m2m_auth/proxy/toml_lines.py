"""Where in a TOML text a key stands: for messages that name the line."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["line_of"]

_HEADER = re.compile(r"\s*\[\[?\s*(.*?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=""")
_PART = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)""")


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(next(part for part in found if part is not None) for found in _groups(dotted))


def _groups(dotted: str) -> list[tuple[str | None, ...]]:
    return [found.groups() for found in _PART.finditer(dotted)]


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line, from 1, on which the key ``path`` stands, or the nearest table around it; None for neither."""
    wanted = ".".join(path) + "."  # a name may have dots in it, and a message does not tell them apart
    table: tuple[str, ...] = ()
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header is not None and key is None:
            here = table = _parts(header[1])
        elif key is not None:
            here = (*table, *_parts(key[1]))
        else:
            continue
        found = ".".join(here) + "."
        if wanted.startswith(found) and (best is None or len(found) > best[0]):
            best = len(found), number
    return None if best is None else best[1]
