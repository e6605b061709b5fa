"""``make bench``: ratios against a hard-coded header, and ours beside the peers. ARGS picks parts by name.

make bench                  everything, in some nine minutes
make bench ARGS="hot many"  only these
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable
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
    "odd_answers": "A simulated hour against each odd answer, a call a minute: token requests / failed calls of 60",
}
PEERS_LEGEND = """
  attach: its own call (a peer on httpx without an auth flow: against setting the header); import: after its HTTP
  library; warm process: it finds its token in its own cache on disk, - means that it has none; threads, processes:
  all make their first call at once, and a mint takes 300 ms; after a 401: a call whose token was revoked. Mints are
  counted at the server."""
ODD_ANSWERS_LEGEND = """
  All three make real requests, and read the same simulated clock. A token lives for an hour (after a rotation: ten
  minutes), so two token requests are enough where its life is told. A call fails when it gets no 200. The peers take a
  secret, and no way to fetch a new one. DPoP and mac tokens may not be sent as Bearer tokens: the API refuses them."""


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
                _print_table(import_module("peers").table(server), 34)
                print(PEERS_LEGEND)
            elif name == "odd_answers":
                _print_table(import_module("odd_answers").table(), 46)
                print(ODD_ANSWERS_LEGEND)
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


def _print_table(lines: Iterable[tuple[str, ...]], width: int) -> None:
    for name, *cells in lines:
        print(f"  {name:<{width}}" + "".join(f"{cell:>{max(16, len(cell) + 2)}}" for cell in cells), flush=True)


if __name__ == "__main__":
    if os.environ.get("PYTHONPYCACHEPREFIX") != child_environment()["PYTHONPYCACHEPREFIX"]:
        os.execve(sys.executable, [sys.executable, *sys.argv], child_environment())
    raise SystemExit(main(sys.argv[1:]))
