"""Runs the authorization server and the inventory with two workers, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path

from real_servers.processes import Processes, start_authorization_server, start_inventory


def main() -> None:
    """Start both, and print how to call them by hand."""
    with Processes() as processes:
        authorization_server = start_authorization_server(processes)
        inventory = start_inventory(processes, Path(__file__).resolve().parent, authorization_server)
        addresses = {"INVENTORY": inventory, "TOKEN_ENDPOINT": f"{authorization_server}/token/"}
        settings = processes.export("inventory.env", {**processes.secrets, **addresses})
        print(f"inventory             {inventory}/stock/apple")
        print(f"authorization server  {authorization_server}/token/")
        print(f"settings to source    {settings}")
        print(f"logs                  {processes.folder}/*.log")
        print("Ctrl-C stops everything.", flush=True)
        processes.wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Everything is stopped.")
