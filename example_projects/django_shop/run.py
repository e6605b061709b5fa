"""Runs the authorization server, the inventory, and the shop with four workers, until Ctrl-C.

With ``--smoke`` it puts a load on the shop, prints the results, and exits with 0 if one token was enough.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

from real_servers.load import verdict
from real_servers.processes import GUNICORN, Processes, start_authorization_server, start_inventory

HERE = Path(__file__).resolve().parent

WORKERS = 4


def main(smoke: bool) -> int:
    """Start everything; return the exit code."""
    with Processes() as processes:
        authorization_server = start_authorization_server(processes)
        inventory = start_inventory(processes, HERE.parent / "flask_inventory", authorization_server)
        settings = {
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "DJANGO_SECRET_KEY": secrets.token_urlsafe(),
            "SHOP_DATABASE": processes.folder / "shop.sqlite3",
            "TOKEN_ENDPOINT": f"{authorization_server}/token/",
            "SHOP_SECRET": processes.secrets["SHOP_SECRET"],
            "INVENTORY_URL": inventory,
        }
        gunicorn = (*GUNICORN, "--workers", str(WORKERS), "--threads", "4", "shop.wsgi")
        shop = processes.start("shop", *gunicorn, folder=HERE, **settings)
        database = processes.folder / "authorization.sqlite3"
        if smoke:
            return 0 if verdict(f"{shop}/stock/apple", WORKERS, inventory, database) else 1
        password = create_operator(processes.environment(settings))
        print(f"shop                  {shop}/stock/apple")
        print(f"service tokens        {shop}/admin/m2m_auth/servicetoken/")
        print(f"user, password        operator {password}")
        print(f"inventory             {inventory}/stock/apple")
        print(f"authorization server  {authorization_server}/token/")
        print(f"its database          {database}")
        print(f"settings to source    {processes.export('shop.env', settings)}")
        print(f"logs                  {processes.folder}/*.log")
        print("Ctrl-C stops everything.", flush=True)
        processes.wait()
    return 0


def create_operator(environment: dict[str, str]) -> str:
    """Create the shop's tables and a user for its admin; return the password."""
    password = secrets.token_urlsafe(9)
    given = {**environment, "DJANGO_SUPERUSER_PASSWORD": password, "DJANGO_SUPERUSER_EMAIL": "operator@shop.example"}
    for command in ("migrate", "createsuperuser --noinput --username operator"):
        manage = [sys.executable, str(HERE / "manage.py"), *command.split(), "--verbosity", "0"]
        subprocess.run(manage, env=given, check=True)
    return password


if __name__ == "__main__":
    try:
        sys.exit(main("--smoke" in sys.argv[1:]))
    except KeyboardInterrupt:
        print("Everything is stopped.")
