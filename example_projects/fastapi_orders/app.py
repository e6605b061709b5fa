"""The orders: a FastAPI service that calls the inventory with one token for all its processes. See README.md."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException, Request

from m2m_auth.httpx import M2MAuth

INVENTORY_URL = os.environ["INVENTORY_URL"]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """One client per process, with its connections kept. All processes share the token."""
    auth = M2MAuth(
        os.environ["TOKEN_ENDPOINT"],
        client_id="orders",
        client_secret=os.environ["ORDERS_SECRET"],
        scope="stock:read stock:reserve",
        resource="https://inventory.example",
        allowed_origins=[INVENTORY_URL],
        cache=os.environ.get("TOKEN_CACHE", "disk:"),  # for several hosts: "redis://…"
    )
    async with auth.source, httpx.AsyncClient(base_url=INVENTORY_URL, auth=auth, timeout=10) as inventory:
        yield {"inventory": inventory}


app = FastAPI(lifespan=lifespan)


@app.get("/articles/{article}")
async def article(request: Request, article: str) -> dict[str, Any]:
    """The number of pieces in stock, and the process that asked."""
    return {**await ask_inventory(request, "GET", f"/stock/{article}"), "worker": os.getpid()}


@app.post("/orders/{article}")
async def order(request: Request, article: str) -> dict[str, Any]:
    """Reserves one piece in the inventory."""
    return await ask_inventory(request, "POST", f"/stock/{article}/reservations")


async def ask_inventory(request: Request, method: str, path: str) -> dict[str, Any]:
    """The inventory's answer."""
    try:
        answer = await request.state.inventory.request(method, path)
        answer.raise_for_status()
    except httpx.HTTPError as error:  # also raised when there is no token
        raise HTTPException(503, "The inventory does not answer.") from error
    return answer.json()  # type: ignore[no-any-return]
