"""The inventory: a Flask API for services with a good token. README.md describes how to run it."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, g
from flask_m2m_auth.receiving import require_m2m

AUDIENCE = "https://inventory.example"
STOCK = {"apple": 40, "pear": 25, "quince": 3}

app = Flask(__name__)
app.config["M2M_AUTH_RECEIVING"] = {
    # The server's tokens are opaque, so the inventory introspects each one (RFC 7662), and keeps the answer for 30 s.
    # For JWTs it would be {"ISSUER": "https://tenant.example", "AUDIENCE": AUDIENCE}.
    "INTROSPECTION": {
        "ENDPOINT": os.environ["INTROSPECTION_ENDPOINT"],
        "CLIENT_ID": "inventory",
        "CLIENT_SECRET": os.environ["INVENTORY_SECRET"],
        "AUDIENCE": AUDIENCE,
    }
}


@app.get("/stock/<article>")
@require_m2m(scope="stock:read", audience=AUDIENCE)
def stock(article: str) -> dict[str, Any]:
    """The number of pieces."""
    return {"article": article, "pieces": STOCK.get(article, 0), "asked_by": g.m2m.client_id}


@app.post("/stock/<article>/reservations")
@require_m2m(scope="stock:reserve", audience=AUDIENCE)
def reserve(article: str) -> dict[str, Any]:
    """Reserve a piece: needs a scope that not every service has."""
    return {"article": article, "reserved": 1, "reserved_for": g.m2m.client_id}
