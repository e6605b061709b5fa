"""A process that watches its token and never asks for one; commands come on stdin. See test_faults_watcher.py."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings

from m2m_auth import TokenSource
from m2m_auth.source.token_source import engine_of


def tell(**facts: object) -> None:
    """One answer to the parent."""
    print(json.dumps(facts), flush=True)


def main(endpoint: str, cache: str) -> None:
    """Serves the parent's commands: ``ready``, ``held``, ``fork`` (and all that follows is the forked child's)."""
    logging.disable()
    warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is the point
    source = TokenSource(endpoint, "client", "secret", cache=cache or None)
    with source.watch() as watcher:
        for line in iter(sys.stdin.readline, ""):
            command, _, timeout = line.strip().partition(" ")
            if command == "ready":
                tell(ready=watcher.wait_until_ready(float(timeout)))
            elif command == "held":
                held = engine_of(source).state.held
                tell(held=held and held.token.value, state=watcher.state)
            elif (child := os.fork()) != 0:
                watcher.close()
                os._exit(os.waitpid(child, 0)[1])
            else:
                tell(forked=os.getpid())


if __name__ == "__main__":
    main(*sys.argv[1:])
