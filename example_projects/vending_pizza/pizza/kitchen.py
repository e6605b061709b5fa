"""The kitchen: a service that tells the orders API how far each pizza is, with a token of its own."""

from __future__ import annotations

import threading

import requests

from m2m_auth import TokenUnavailable
from m2m_auth.requests import M2MAuth

from .orders import STEPS


class Kitchen:
    """Bakes one pizza after the other, on a thread of its own, until it is closed."""

    def __init__(self, token_endpoint: str, client_secret: str, orders: str, pause: float) -> None:
        self._auth = M2MAuth(token_endpoint, "kitchen", client_secret, scope="orders:publish")
        self._orders, self._pause = orders, pause
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._bake, name="kitchen")
        self._thread.start()

    def close(self) -> None:
        """Closes the kitchen."""
        self._closing.set()
        self._thread.join()

    def _bake(self) -> None:
        moment = 0
        with requests.Session() as session:
            session.auth, session.trust_env = self._auth, False
            while not self._closing.wait(self._pause):
                # Three orders are under way at any time, each one step behind the one before.
                for ahead in range(len(STEPS)):
                    number = moment - ahead
                    if number >= 0:
                        self._tell(session, 1 + number, STEPS[ahead])
                moment += 1

    def _tell(self, session: requests.Session, number: int, step: str) -> None:
        try:
            session.post(self._orders, json={"number": number, "step": step}, timeout=10).raise_for_status()
        except (TokenUnavailable, requests.RequestException) as error:
            print(f"the kitchen could not say that {number} is {step}: {error}")
