"""``make bench``: ratios against a hard-coded header, and ours beside the peers. ARGS picks parts by name.

make bench                  everything, in some seven minutes
make bench ARGS="hot many"  only these
"""

from __future__ import annotations

import logging
import os
import sys
import time
from importlib import import_module

from measure import Row, child_environment
from server import Server, running

PARTS = {
    "hot": "The hot path: attaching a held token, against a hard-coded header",
    "many": "Many sources, many threads (requests)",
    "imports": "Imports",
    "processes": "Whole processes, one API call each, against a hard-coded header",
    "shared": "A hit in a shared cache, opened and parsed, against the native client's bare get; memory",
    "steady": "Steady calls through several token lifetimes, against a hard-coded header in the same run",
    "proxy": "The token proxy: hits against a constant answer on the same server; memory; what response times reveal",
    "peers": "Side by side, each against a hard-coded header on its own HTTP library",
}
PEERS_LEGEND = """
  attach: its own call (a peer on httpx without an auth flow: against setting the header); import: after its HTTP
  library; warm process: it finds its token in its own cache on disk, - means that it has none; threads, processes:
  all make their first call at once, and a mint takes 300 ms; after a 401: a call whose token was revoked. Mints are
  counted at the server."""


def main(names: list[str]) -> int:
    unknown = set(names) - set(PARTS)
    if unknown:
        raise SystemExit(f"there is no part {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
    logging.getLogger("m2m_auth").addHandler(logging.NullHandler())  # it logs the tokens that are revoked here
    begin = time.monotonic()
    judged: list[Row] = []
    with running() as server:
        for name in names or PARTS:
            print(f"\n{PARTS[name]}   [{name}]", flush=True)
            if name == "peers":
                _print_peers(server)
            else:
                judged += [row for row in _print_rows(name, server) if row.met is not None]
    met = sum(row.met is True for row in judged)
    print(f"\n{met} of {len(judged)} goals met; {time.monotonic() - begin:.0f} s", flush=True)
    return 0


def _print_rows(name: str, server: Server) -> list[Row]:
    rows = []
    for row in import_module(name).rows(server):
        rows.append(row)
        value = f"{row.value:.0f}" if not row.unit else f"{row.value:.2f} {row.unit}"
        goal = "" if row.goal is None else f"<= {row.goal:g} {row.unit}"
        verdict = {None: "", True: "met", False: "MISSED"}[row.met]
        print(f"  {row.what:<52} {value:>9}   {goal:<10} {verdict:<7} {row.note}".rstrip(), flush=True)
    return rows


def _print_peers(server: Server) -> None:
    for name, *cells in import_module("peers").table(server):
        print(f"  {name:<34}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
    print(PEERS_LEGEND)


if __name__ == "__main__":
    if os.environ.get("PYTHONPYCACHEPREFIX") != child_environment()["PYTHONPYCACHEPREFIX"]:
        os.execve(sys.executable, [sys.executable, *sys.argv], child_environment())
    raise SystemExit(main(sys.argv[1:]))
