"""Runs the authorization server, the inventory, and the orders with three worker processes, until Ctrl-C.

With ``--smoke`` it puts a load on the orders, prints the results, and exits with 0 if one token was enough.
"""

from __future__ import annotations

import sys
from pathlib import Path

from real_servers.load import verdict
from real_servers.processes import Processes, start_authorization_server, start_inventory

HERE = Path(__file__).resolve().parent

WORKERS = 3


def main(smoke: bool) -> int:
    """Start everything; return the exit code."""
    with Processes() as processes:
        authorization_server = start_authorization_server(processes)
        inventory = start_inventory(processes, HERE.parent / "flask_inventory", authorization_server)
        orders = processes.start(
            "orders",
            *(sys.executable, "-m", "uvicorn", "app:app", "--port", "0", "--workers", str(WORKERS)),
            folder=HERE,
            TOKEN_ENDPOINT=f"{authorization_server}/token/",
            ORDERS_SECRET=processes.secrets["ORDERS_SECRET"],
            INVENTORY_URL=inventory,
        )
        database = processes.folder / "authorization.sqlite3"
        if smoke:
            return 0 if verdict(f"{orders}/articles/apple", WORKERS, inventory, database) else 1
        print(f"orders                {orders}/articles/apple")
        print(f"its documentation     {orders}/docs")
        print(f"inventory             {inventory}/stock/apple")
        print(f"authorization server  {authorization_server}/token/")
        print(f"its database          {database}")
        print(f"logs                  {processes.folder}/*.log")
        print("Ctrl-C stops everything.", flush=True)
        processes.wait()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main("--smoke" in sys.argv[1:]))
    except KeyboardInterrupt:
        print("Everything is stopped.")
