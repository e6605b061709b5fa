"""Exponential backoff: the step after each failure, its limits and its jitter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.lifecycle.backoff import backoff


@pytest.mark.parametrize(
    ("attempt", "step"),
    [(-1, 3.0), (0, 3.0), (1, 3.0), (2, 6.0), (3, 12.0), (4, 24.0), (5, 25.0), (6, 25.0), (65, 25.0), (10**9, 25.0)],
)
def test_the_step_doubles_up_to_the_longest(attempt: int, step: float) -> None:
    """The first failure waits the first step, each further one twice as long, and a large number does not overflow."""
    assert backoff(attempt, first=3.0, longest=25.0) == step


@pytest.mark.parametrize(("attempt", "step"), [(64, 2.0**63), (65, 2.0**64), (66, 2.0**64)])
def test_a_step_doubles_64_times_at_most(attempt: int, step: float) -> None:
    """That many doublings reach every limit that is a time."""
    assert backoff(attempt, first=1.0, longest=float("inf")) == step


def test_a_first_step_that_is_too_long_is_cut() -> None:
    """``longest`` holds for the first failure too."""
    assert backoff(1, first=30.0, longest=7.5) == 7.5


@pytest.mark.parametrize(("fraction", "wait"), [(0.0, 2.0), (0.25, 2.5), (0.5, 3.0), (1.0, 4.0)])
def test_equal_jitter_keeps_half_of_the_step(fraction: float, wait: float) -> None:
    """Half of the step is fixed and half is drawn; without a draw the whole step is waited."""
    assert backoff(3, first=1.0, longest=60.0, fraction=fraction) == wait
    assert backoff(3, first=1.0, longest=60.0) == 4.0


@settings(max_examples=200, deadline=None)
@given(st.integers(-5, 10_000), st.floats(0.001, 100.0), st.floats(0.001, 5000.0), st.floats(0.0, 1.0))
def test_a_wait_keeps_to_its_bounds_and_grows(attempt: int, first: float, longest: float, fraction: float) -> None:
    """No wait is longer than ``longest`` or shorter than half the first step, and another failure never shortens it."""
    wait = backoff(attempt, first=first, longest=longest, fraction=fraction)
    assert min(first, longest) / 2 <= wait <= longest
    assert wait <= backoff(attempt + 1, first=first, longest=longest, fraction=fraction)
