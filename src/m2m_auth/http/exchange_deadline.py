"""The end of one exchange with a token endpoint, whatever the connection does meanwhile.

The timeouts of HTTP libraries are for one connect to one address, or for one read. An answer that drips, a slow TLS
handshake or a host with several dead addresses may take any number of them.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType

__all__ = ["ExchangeDeadline"]

_LEAST = 0.001
"""Seconds: a timeout of 0 would mean another mode of the socket."""


class ExchangeDeadline:
    """A context manager that ends the connections of one exchange at its deadline.

    Args:
        seconds: from entering the context to the last byte of the response.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.has_passed = False
        """True once the connections were shut down. It does not depend on a clock that a test may have frozen."""
        self.is_connected = False
        """True once a connection was made."""
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> ExchangeDeadline:
        self._ends_at = time.monotonic() + self.seconds
        with suppress(RuntimeError):  # no thread can start while the interpreter shuts down; timeouts remain
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._timer.ident is not None:
            self._timer.join()
        for connection in self._sockets:
            connection.close()

    def remaining(self) -> float:
        """Seconds until the deadline; never 0."""
        return max(_LEAST, self._ends_at - time.monotonic())

    def to_connect(self, host: str, port: int | None) -> float:
        """Seconds for each address of a host, so that a dead first address leaves time for the others.

        A single address has all of the remaining time.
        """
        try:
            addresses = len(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            addresses = 1  # the library meets the error, and reports it
        return max(_LEAST, self.remaining() / max(1, addresses))

    def watch(self, fileno: int) -> None:
        """Shuts this connection down at the deadline, or now if it has passed.

        It is watched through a copy of its descriptor: a TLS handshake moves the original to another object.
        """
        self.is_connected = True
        with suppress(OSError, ValueError, TypeError):  # no real socket, or closed already
            copy = socket.fromfd(fileno, socket.AF_INET, socket.SOCK_STREAM)
            with self._lock:
                self._sockets.append(copy)
                passed = self.has_passed
            if passed:
                _shut_down(copy)

    def _pass(self) -> None:
        with self._lock:
            self.has_passed = True
            for connection in self._sockets:
                _shut_down(connection)


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        connection.shutdown(socket.SHUT_RDWR)
