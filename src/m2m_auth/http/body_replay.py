"""Sending a body again: from where it started, or not at all. A replay never uploads an empty body."""

from __future__ import annotations

from typing import Any

__all__ = ["is_seekable", "position", "rewind"]


def position(body: Any) -> int | None:
    """Where a file stands, if it can be rewound to there; None for anything else."""
    try:
        return int(body.tell()) if body.seekable() else None
    except (AttributeError, OSError, ValueError):
        return None


def rewind(body: Any, start: int | None) -> bool:
    """Rewinds a file to ``start``; False if the body cannot be sent again."""
    if start is None:
        return False
    try:
        body.seek(start)
    except (AttributeError, OSError, ValueError):  # ValueError: the file is closed
        return False
    return True


def is_seekable(file: Any) -> bool:
    """True if a file can be rewound to its beginning."""
    try:
        return bool(file.seekable())
    except (AttributeError, ValueError):  # ValueError: the file is closed
        return False
