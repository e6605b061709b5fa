"""A process in which many threads make their first API call at once, with one client.

python crowd.py CLIENT SERVER THREADS
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module


def main() -> None:
    name, server, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    client = import_module(f"clients.{name}").connect(server, None)
    gate = threading.Barrier(count)
    statuses: list[int] = []

    def work() -> None:
        gate.wait()
        statuses.append(client.call())

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if statuses != [200] * count:
        raise SystemExit(f"{name}: not every thread was answered with 200")


main()
