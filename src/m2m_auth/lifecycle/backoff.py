"""Exponential backoff: the one rule for how long to wait after a row of failures."""

from __future__ import annotations

__all__ = ["backoff"]

_MOST_DOUBLINGS = 64
"""More doublings reach any ``longest``, and 2.0 to a large power overflows."""


def backoff(attempt: int, *, first: float, longest: float, fraction: float = 1.0) -> float:
    """Return the seconds to wait after failure number ``attempt`` in a row; 1 is the first failure.

    The step is ``first`` seconds. It doubles with each further attempt, up to ``longest`` seconds.

    Args:
        attempt: how many attempts in a row have failed; numbers below 1 count as 1.
        first: the step after the first failure, in seconds.
        longest: the longest step, in seconds.
        fraction: the draw of equal jitter, 0 to 1: half of the step is fixed, this share of the other half is added.
            1, the default, is the whole step.
    """
    doublings = min(max(attempt, 1) - 1, _MOST_DOUBLINGS)
    step = min(first * 2.0**doublings, longest)
    return step / 2 + step / 2 * fraction
