"""The inventory: a Flask API that lets only services with a good token in. README.md says how to run it."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, g
from flask_m2m_auth.receiving import require_m2m

AUDIENCE = "https://inventory.example"
STOCK = {"apple": 40, "pear": 25, "quince": 3}

app = Flask(__name__)
app.config["M2M_AUTH_RECEIVING"] = {
    # The server's tokens are opaque, so the inventory asks it about each (RFC 7662), and remembers the answer for 30 s.
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
    """How many pieces there are."""
    return {"article": article, "pieces": STOCK.get(article, 0), "asked_by": g.m2m.client_id}


@app.post("/stock/<article>/reservations")
@require_m2m(scope="stock:reserve", audience=AUDIENCE)
def reserve(article: str) -> dict[str, Any]:
    """A piece put aside, for services that may do more than look."""
    return {"article": article, "reserved": 1, "reserved_for": g.m2m.client_id}
