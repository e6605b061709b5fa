"""Real servers for the ends of a service: waitress for WSGI, uvicorn for ASGI, while a block runs."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import uvicorn
from waitress.server import create_server


@contextmanager
def by_waitress(app: Any) -> Iterator[str]:
    """The base URL of a WSGI application on waitress, while the block runs."""
    server = create_server(app, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"  # type: ignore[union-attr]
    finally:
        server.trigger.pull_trigger(server.close)  # type: ignore[union-attr]
        thread.join(30)
        server.task_dispatcher.shutdown()


@contextmanager
def by_uvicorn(app: Any, lifespan: Literal["on", "off"] = "on") -> Iterator[str]:
    """The base URL of an ASGI application on uvicorn, while the block runs."""
    config = uvicorn.Config(app, log_level="critical", lifespan=lifespan, http="h11", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),))
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started:
                assert thread.is_alive(), "uvicorn did not start"
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
