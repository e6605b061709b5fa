"""Virtual time: a queue of events, and greenlets in place of threads.

The library's code blocks: it waits for a cache, for a server, for another thread's flight. In the simulation every
blocking call parks a greenlet, and the clock jumps to the next event. The same seed gives the same run.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

__all__ = ["Hub", "Process"]


class Hub:
    """The event loop. ``now`` is in seconds from the start of the run."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = itertools.count()
        self.loop = getcurrent()
        self.running: Process
        """Whose thread is running."""

    def at(self, when: float, call: Callable[..., object], *arguments: Any) -> None:
        """Calls ``call(*arguments)`` at that time; equal times in the order in which they were asked for."""
        heapq.heappush(self._queue, (when, next(self._count), call, arguments))

    def run(self, until: float) -> None:
        """Lets time pass."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            self.now, _, call, arguments = heapq.heappop(queue)
            call(*arguments)
        self.now = until


class Process:
    """One life of one host's process. When it dies its threads end where they are, and nothing is cleaned up.

    ``landed`` is called whenever a flight has landed.
    """

    def __init__(self, hub: Hub, landed: Callable[[], object] = lambda: None) -> None:
        self.hub, self.landed = hub, landed
        self.alive = True
        self._threads: set[greenlet] = set()

    def spawn(self, work: Callable[[], object]) -> None:
        """Runs ``work`` in a thread of this process, at the next turn of the loop."""
        self.hub.at(self.hub.now, self.run, work)

    def run(self, work: Callable[[], object]) -> None:
        """The same at once, up to where it blocks. For the loop."""
        if not self.alive:
            return
        thread = greenlet(work, self.hub.loop)
        self._threads.add(thread)
        self._switch(thread)

    def sleep(self, seconds: float) -> None:
        """Blocks the calling thread."""
        self.hub.at(self.hub.now + seconds, self._switch, getcurrent())
        self.park()

    def park(self) -> None:
        """Blocks the calling thread until another one resumes it."""
        self.hub.loop.switch()
        self.must_live()

    def resume(self, thread: greenlet) -> None:
        """Lets a parked thread go on, at the next turn of the loop."""
        self.hub.at(self.hub.now, self._switch, thread)

    def must_live(self) -> None:
        """Ends the calling thread if its process is dead: not even its ``finally`` reaches the outside world."""
        if not self.alive:
            raise GreenletExit

    def die(self) -> None:
        """kill -9."""
        self.alive = False
        self.hub.at(self.hub.now, self.end)

    def _switch(self, thread: greenlet) -> None:
        if thread.dead or not self.alive:
            return
        self.hub.running = self
        thread.switch()
        if thread.dead:
            self._threads.discard(thread)

    def end(self) -> None:
        """Ends its threads. For the loop."""
        self.alive = False
        for thread in self._threads:
            if not thread.dead:
                thread.throw(GreenletExit)
        self._threads.clear()
