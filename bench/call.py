"""The program whose cost is measured: a new process that makes one API call with one client.

    python call.py CLIENT SERVER [FOLDER] [wait]

With ``wait`` it says "ready" after its imports and calls when it gets a line.
"""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    name, server, folder, wait = (*sys.argv[1:], "", "")[:4]
    client = import_module(f"clients.{name}").connect(server, folder or None)
    if wait:
        print("ready", flush=True)
        sys.stdin.readline()
    status = client.call()
    if status != 200:
        raise SystemExit(f"{name}: the API answered {status}")


main()
