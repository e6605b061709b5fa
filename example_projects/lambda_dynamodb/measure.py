"""Measures the cost of the shared token: each request of the real handler processes, in DynamoDB's capacity units.

Between the processes and ministack stands an edge that asks for ReturnConsumedCapacity with every request. DynamoDB
does not report a refused condition; it costs as much as a write of the item (1 unit for a lease).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import NamedTuple

from real_servers.dynamodb_edge import Edge
from real_servers.stores import start_dynamodb
from rehearsal import Instance, create_table, environment

from m2m_auth.testing import FakeAuthorizationServer

TOKEN = "x" * 1000
"""Characters: a usual JWT."""
LIFETIME = 2
"""Seconds: short enough to wait for the end. A token of one hour needs the same requests."""


class Cost(NamedTuple):
    """The cost of one invocation."""

    what: str
    requests: int
    read_units: float
    write_units: float

    def row(self) -> str:
        """A row of the README's table."""
        return f"| {self.what} | {self.requests} | {self.read_units:g} | {self.write_units:g} |"


class Meter(Edge):
    """Sums up the consumption that DynamoDB reports for its requests."""

    def __init__(self, target: int) -> None:
        self.units: Counter[str] = Counter()
        super().__init__(target)

    def ask(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Request the consumed capacity, too."""
        read = headers["X-Amz-Target"].endswith("GetItem")
        question = {**json.loads(body), "ReturnConsumedCapacity": "TOTAL"}
        status, answer = super().ask(headers, json.dumps(question).encode())
        consumed = json.loads(answer).get("ConsumedCapacity", {}).get("CapacityUnits", 1.0)
        self.units["requests"] += 1
        self.units["read" if read else "write"] += consumed
        return status, answer

    def cost(self, what: str) -> Cost:
        """The cost since the last call."""
        cost = Cost(what, self.units["requests"], self.units["read"], self.units["write"])
        self.units.clear()
        return cost


def measure() -> list[Cost]:
    """The cost of each kind of invocation."""
    costs: list[Cost] = []
    with FakeAuthorizationServer(lifetime=LIFETIME) as server, start_dynamodb() as store:
        create_table(environment(server, f"http://{store.address}"))
        server.extra_response["access_token"] = TOKEN
        server.accept_tokens = "all"
        with Meter(store.port) as meter:
            settings = environment(server, meter.endpoint)
            with Instance(settings) as first:
                invoke(first)
                costs.append(meter.cost("the first invocation of all: it mints"))
                time.sleep(LIFETIME)
                invoke(first)
                costs.append(meter.cost("an invocation after the token's end: it mints"))
            server.lifetime = 3600
            time.sleep(LIFETIME)
            with Instance(settings) as second, Instance(settings) as third:
                invoke(second)
                meter.cost("")
                invoke(third)
                costs.append(meter.cost("a cold start, the token is in the table"))
                for _ in range(100):
                    invoke(third)
                costs.append(meter.cost("100 warm invocations"))
    return costs


def invoke(instance: Instance) -> None:
    """One invocation, which must succeed, and a moment for the end of its flight."""
    answer = instance.invoke()
    assert answer.get("statusCode") == 200, answer
    time.sleep(0.02)


def per_thousand(costs: list[Cost], cold: int) -> Cost:
    """1,000 invocations in one lifetime of the token, with so many cold starts among them."""
    mint, start = costs[0], costs[2]
    return Cost(
        f"1,000 invocations, {cold} of them cold starts, 1 mint",
        *(one + (cold - 1) * other for one, other in zip(mint[1:], start[1:], strict=True)),
    )


def main() -> None:
    """Print the README's table."""
    costs = measure()
    print("| | requests | read units | write units |\n|---|---|---|---|")
    for cost in [*costs, per_thousand(costs, 10), per_thousand(costs, 100)]:
        print(cost.row())


if __name__ == "__main__":
    main()
