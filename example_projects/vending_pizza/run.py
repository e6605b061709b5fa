"""Runs the pizza shop, its orders API, its kitchen and an authorization server, until Ctrl-C."""

from __future__ import annotations

import signal
import threading

from pizza.servers import running


def main() -> None:
    """Start everything and say where the page is."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with running() as at:
        print(f"page           {at.shop}")
        print(f"tokens minted  {at.authorization_server}/mints")
        print("Ctrl-C stops everything.", flush=True)
        stop.wait()
    print("Everything is stopped.")


if __name__ == "__main__":
    main()
