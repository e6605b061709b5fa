"""A TCP proxy between a client and a real server. A test chooses its fault, which holds at once for every connection.

It fits protocols in which a client sends a request and then waits for the reply.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Collection
from types import TracebackType
from typing import TYPE_CHECKING

from .faults import HOST, Connection, Fault, Hold, HungUp, Reset, Swap, Truncate

if TYPE_CHECKING:
    from typing_extensions import Self


class FaultProxy:
    """Listens on ``port`` and passes everything on to the port ``target``, until a fault is chosen.

    Each of ``recover``, ``refuse``, ``reset``, ``delay``, ``half_open``, ``black_hole``, ``truncate`` and ``swap`` ends
    the previous behaviour. Bytes that were held back are then delivered late, as after a real outage.

    Attributes:
        connections: the number of accepted connections.
        requests: the number of requests, with ``request_bytes`` in total.
        replies: the number of replies passed on, whole or in part, with ``reply_bytes`` in total.
        swapped: the number of replies that went to another connection.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.connections = self.requests = self.request_bytes = self.replies = self.reply_bytes = self.swapped = 0
        self.lock = threading.Lock()
        self.fault = Fault()
        self._open: dict[Connection, threading.Thread] = {}
        self._listener = _bound(0)
        self.port: int = self._listener.getsockname()[1]
        self._thread_name = f"fault-proxy-{self.port}"
        self._acceptor: threading.Thread | None = None
        self._listen()

    @property
    def address(self) -> str:
        """Return host and port."""
        return f"{HOST}:{self.port}"

    def recover(self) -> None:
        """Pass everything through."""
        self._become(Fault())

    def refuse(self) -> None:
        """Refuse new connections and close the open ones."""
        self._become(Fault(), listens=False)

    def reset(self) -> None:
        """Accept and reset at once. Open connections are reset in the middle of their next reply."""
        self._become(Reset())

    def delay(self, seconds: float = 5.0) -> None:
        """Requests arrive at once, replies ``seconds`` later."""
        self._become(Hold(replies=seconds))

    def half_open(self) -> None:
        """Requests arrive and are carried out. No reply comes."""
        self._become(Hold(replies=None))

    def black_hole(self) -> None:
        """Accept, and pass nothing on in either direction."""
        self._become(Hold(requests=None, replies=None))

    def truncate(self, size: int, *, close: bool = True) -> None:
        """Pass on the first ``size`` bytes of each reply, then close the connection, or leave it open and silent."""
        self._become(Truncate(size, close))

    def swap(self, patience: float = 0.05) -> None:
        """Exchange the replies of two connections, in pairs. One without a partner waits ``patience`` seconds."""
        self._become(Swap(patience))

    def point_at(self, target: int) -> None:
        """Send new connections to another server, and close the others."""
        self.target = target
        self._hang_up()

    def close(self) -> None:
        """Close everything and end every thread."""
        self._become(Fault(), listens=False)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _become(self, fault: Fault, *, listens: bool = True) -> None:
        before, self.fault = self.fault, fault
        if listens and self._acceptor is None:
            self._listen()
        elif not listens and self._acceptor is not None:
            self._deafen()
        before.over.set()
        if not listens:
            for thread in self._hang_up():
                thread.join()

    def _listen(self) -> None:
        self._listener.listen()
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._listener,), name=self._thread_name, daemon=True
        )
        self._acceptor.start()

    def _deafen(self) -> None:
        """Stay bound, but do not listen: connections are refused, and no other process gets the port."""
        assert self._acceptor is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._acceptor = None
        self._listener.close()
        self._listener = _bound(self.port)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            connection = Connection(self, client)
            thread = threading.Thread(target=self._serve, args=(connection,), name=self._thread_name, daemon=True)
            with self.lock:
                self.connections += 1
                self._open[connection] = thread
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            with contextlib.suppress(OSError, HungUp):
                connection.run()
        finally:
            with self.lock:
                del self._open[connection]

    def _hang_up(self) -> Collection[threading.Thread]:
        """Close every open connection; return their threads."""
        with self.lock:
            threads = dict(self._open)
        for connection in threads:
            connection.hang_up()
        return threads.values()


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound
