"""How the steps of a call are driven: written once for every HTTP library, sync and async.

Steps are generators. They do no I/O and hold no lock. They yield each piece of work; a driver does it and sends the
outcome back.

- A request that is yielded is sent; the outcome is its response. The token request is never one of them.
- An :class:`Effect` is performed: ``run()`` by a synchronous driver, ``await arun()`` by an asynchronous one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

__all__ = ["Effect", "Steps", "adrive", "arun", "drive", "run"]


class Effect(ABC):
    """A piece of work of the steps that may block."""

    __slots__ = ()

    @abstractmethod
    def run(self) -> Any:
        """Does it, blocking this thread; returns the outcome."""

    @abstractmethod
    async def arun(self) -> Any:
        """The same without blocking the event loop."""


Steps = Generator[Any, Any, Any]
"""Yields requests and effects, receives responses and outcomes, and returns the response for the caller."""


def run(steps: Steps, send: Callable[[Any], Any] | None = None) -> Any:
    """The synchronous driver for hooks and middlewares: sends with ``send``, returns what the steps return."""
    outcome = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration as end:
            return end.value
        outcome = step.run() if isinstance(step, Effect) or send is None else send(step)


async def arun(steps: Steps) -> Any:
    """The asynchronous driver for steps that send nothing; returns what they return."""
    outcome = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration as end:
            return end.value
        outcome = await step.arun()


def drive(steps: Steps) -> Generator[Any, Any, None]:
    """The synchronous driver for libraries that take a generator of requests."""
    outcome = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration:
            return
        outcome = step.run() if isinstance(step, Effect) else (yield step)


async def adrive(steps: Steps) -> AsyncGenerator[Any, Any]:
    """The asynchronous driver for libraries that take a generator of requests."""
    outcome = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration:
            return
        outcome = await step.arun() if isinstance(step, Effect) else (yield step)
