"""The orders API: a publisher reports the state of an order, and subscribers receive it at once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

from flask import Flask, Response, abort, g, jsonify, request
from flask_m2m_auth import require_m2m

from .authorization_server import AUDIENCE

STEPS = ("ordered", "in the oven", "on its way", "delivered")
HEARTBEAT = 1.0
"""Seconds after which a silent stream sends a comment, to detect a closed page."""


class Board:
    """The state of each order, and a way to wait for changes."""

    def __init__(self) -> None:
        self._orders: dict[int, str] = {}
        self._news = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, number: int, step: str) -> None:
        """Set the state of an order. The ten latest orders are kept."""
        with self._changed:
            self._orders.pop(number, None)
            self._orders[number] = step
            while len(self._orders) > 10:
                del self._orders[next(iter(self._orders))]
            self._news += 1
            self._changed.notify_all()

    def events(self, until: float) -> Iterator[str]:
        """All orders, then each change, as server-sent events, until the subscriber's token expires."""
        seen = -1
        while time.time() < until:
            with self._changed:
                if self._news == seen and not self._closed:
                    self._changed.wait(HEARTBEAT)
                if self._closed:
                    return
                news, orders = self._news, [{"number": number, "step": step} for number, step in self._orders.items()]
            yield f"data: {json.dumps(orders)}\n\n" if news != seen else ": nothing new\n\n"
            seen = news

    def close(self) -> None:
        """Ends every stream."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def create_app(issuer: str, page_origin: str, board: Board) -> Flask:
    """The API. Pages of ``page_origin`` may call it with a token; it uses no cookies."""
    app = Flask("orders")
    app.config["M2M_AUTH_RECEIVING"] = {"ISSUER": issuer, "AUDIENCE": AUDIENCE, "JWKS_URI": f"{issuer}/jwks.json"}

    @app.get("/orders")
    @require_m2m(scope="orders:subscribe")
    def subscribe() -> Response:
        headers = {"Cache-Control": "no-store"}
        return Response(board.events(g.m2m.claims["exp"]), content_type="text/event-stream", headers=headers)

    @app.post("/orders")
    @require_m2m(scope="orders:publish")
    def publish() -> Response:
        order = request.get_json()
        if not isinstance(order.get("number"), int) or order.get("step") not in STEPS:
            abort(400)
        board.put(order["number"], order["step"])
        return jsonify(order)

    @app.after_request
    def allow_the_page(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = page_origin
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response.headers["Vary"] = "Origin"
        return response

    return app
