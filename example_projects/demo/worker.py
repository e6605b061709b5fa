"""One process of the demo: 8 threads that call the protected API until a deadline.

It reads its orders as one line of JSON from stdin, and reports every half second as a line of JSON on stdout.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import requests
from requests.auth import AuthBase

from m2m_auth.requests import M2MAuth

THREADS = 8
PAUSE = 0.02  # between two calls of a thread: 32 threads are load enough for the demo's small servers


class MintPerProcess(AuthBase):
    """The usual code: a token in a variable behind a lock, renewed one second before it expires."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self._orders = orders
        self._lock = threading.Lock()
        self._token, self._good_until = "", 0.0

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Attach the process's own token."""
        with self._lock:
            if time.monotonic() >= self._good_until:
                sent = time.monotonic()
                client = (self._orders["client_id"], self._orders["client_secret"])
                form = {"grant_type": "client_credentials", "audience": self._orders["audience"]}
                answer = requests.post(self._orders["token_endpoint"], data=form, auth=client, timeout=10).json()
                self._token, self._good_until = answer["access_token"], sent + answer["expires_in"] - 1
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Tally:
    """The counts of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0
        self.failed = 0
        self.added: list[float] = []

    def count(self, ok: bool, added: float) -> None:
        """Count one call, and the seconds that its auth took."""
        with self.lock:
            self.calls += 1
            self.failed += not ok
            self.added.append(added)


def call_until(deadline: float, url: str, auth: AuthBase, tally: Tally) -> None:
    """The loop of one thread: prepare, attach the token (timed), send."""
    with requests.Session() as session:
        while time.time() < deadline:
            request = session.prepare_request(requests.Request("GET", url))
            started = time.perf_counter()
            try:
                request = auth(request)
                added = time.perf_counter() - started
                ok = session.send(request, timeout=10).status_code == 200
            except requests.RequestException:
                added, ok = time.perf_counter() - started, False
            tally.count(ok, added)
            time.sleep(PAUSE)


def main() -> None:
    """Run the threads and report."""
    orders = json.loads(sys.stdin.readline())
    auth: AuthBase
    if orders["shared"]:
        auth = M2MAuth(
            orders["token_endpoint"],
            client_id=orders["client_id"],
            client_secret=orders["client_secret"],
            audience=orders["audience"],
            cache=orders["cache"],
        )
    else:
        auth = MintPerProcess(orders)
    tally = Tally()
    threads = [
        threading.Thread(target=call_until, args=(orders["deadline"], orders["url"], auth, tally), daemon=True)
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        state = auth.source.status().state if isinstance(auth, M2MAuth) else ""
        print(json.dumps({"calls": tally.calls, "failed": tally.failed, "state": state}), flush=True)
        threads[0].join(0.5)
    for thread in threads:
        thread.join()
    print(json.dumps({"calls": tally.calls, "failed": tally.failed, "state": "done", "added": tally.added}), flush=True)


if __name__ == "__main__":
    main()
