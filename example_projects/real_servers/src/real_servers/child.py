"""The child's side of a server process: read the configuration, listen, report the address, end with the parent."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from waitress.server import create_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Config = dict[str, Any]
"""The configuration from the parent: one JSON object, the first line of stdin."""


def run(build: Callable[[Config, str], WSGIApplication], threads: int = 8) -> None:
    """Serve what `build(config, base_url)` returns on a free loopback port, until the parent ends.

    The configuration comes on stdin and not in argv, where any user of the machine could read the secrets.
    """
    config: Config = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, args=(config.get("folder"),), daemon=True).start()
    # Bound before the application is built, because an issuer must know its own URL.
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = create_server(
        build(config, base_url),
        sockets=[listener],
        threads=threads,
        connection_limit=1000,
        asyncore_use_poll=True,  # select() cannot watch a descriptor above 1023
        clear_untrusted_proxy_headers=True,
    )
    print(json.dumps({"base_url": base_url}), flush=True)
    os.dup2(2, 1)  # the parent reads one line only: a later print must neither block nor break the pipe
    server.run()


def _end_with_parent(folder: str | None) -> None:
    """Wait for EOF on stdin, which comes also after kill -9 of the parent; then remove the folder and exit."""
    # Not sys.stdin: a thread inside its lock makes an interpreter that ends by an exception abort instead.
    while os.read(0, 1024):
        pass
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
