"""All servers in one process on free loopback ports. In production each is a separate service."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from . import authorization_server, orders, shop
from .kitchen import Kitchen


class Addresses(NamedTuple):
    """The addresses of the servers."""

    shop: str
    orders: str
    authorization_server: str


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the page shows what happens."""


class _Later:
    """An application that is set after all servers have their ports."""

    app: Flask

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self.app(environ, start_response)


@contextmanager
def running(pause: float = 2.0, clock: Any = None) -> Iterator[Addresses]:
    """Starts the three servers and the kitchen, and stops them with the block.

    Args:
        pause: seconds between two steps of a pizza.
        clock: the vendor's clock, for tests.
    """
    passwords = {"shop": secrets.token_urlsafe(), "kitchen": secrets.token_urlsafe()}
    board = orders.Board()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_plain_http())
        apps = _Later(), _Later(), _Later()
        at = Addresses(*(stack.enter_context(_serving(app)) for app in apps))
        issuer = at.authorization_server
        apps[2].app = authorization_server.create_app(issuer, passwords)
        apps[1].app = orders.create_app(issuer, at.shop, board)
        apps[0].app = shop.create_app(f"{issuer}/oauth/token", passwords["shop"], f"{at.orders}/orders", clock)
        stack.callback(board.close)  # or the streams would keep the orders API from stopping
        stack.callback(Kitchen(f"{issuer}/oauth/token", passwords["kitchen"], f"{at.orders}/orders", pause).close)
        yield at


@contextmanager
def _serving(app: _Later) -> Iterator[str]:
    server: BaseWSGIServer = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _plain_http() -> Iterator[None]:
    """Authlib rightly refuses plain http. Here all requests stay on this machine."""
    name = "AUTHLIB_INSECURE_TRANSPORT"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
