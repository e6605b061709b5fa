"""A process of a fleet: threads that call an API with one M2MAuth, until a line comes on stdin. See fault_fleet.py."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections import Counter

import requests

from m2m_auth import RenewalPolicy, TokenUnavailable
from m2m_auth.requests import M2MAuth


def main(endpoint: str, api: str, cache: str, policy: str, threads: str) -> None:
    """Calls, and reports."""
    logging.disable()
    over, lock = threading.Event(), threading.Lock()
    outcomes: Counter[str] = Counter()
    longest, tokens = 0.0, dict[str, None]()
    auth = M2MAuth(endpoint, "client", "secret", cache=cache, policy=RenewalPolicy(**json.loads(policy)))

    def call(session: requests.Session) -> None:
        nonlocal longest
        start, first = time.monotonic(), not tokens
        try:
            token = auth.source.token().value
            waited = time.monotonic() - start
            response = session.get(api, timeout=10)
            outcome = f"{response.status_code}" + "+" * len(response.history)
        except TokenUnavailable as error:
            token, outcome = "", f"no token: {error.cause_code}"
            waited = time.monotonic() - start
        with lock:
            outcomes[outcome] += 1
            longest = longest if first else max(longest, waited)
            if token:
                tokens[token] = None

    def work() -> None:
        with requests.Session() as session:
            session.auth, session.trust_env = auth, False
            while not over.wait(0.1):
                call(session)

    workers = [threading.Thread(target=work) for _ in range(int(threads))]
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    for worker in workers:
        worker.start()
    sys.stdin.readline()
    over.set()
    for worker in workers:
        worker.join()
    auth.source.close()
    report = {"outcomes": outcomes, "longest": longest, "tokens": list(tokens)}
    print(json.dumps({"report": report}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
