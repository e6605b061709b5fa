"""Between the engine and a cache: keys, entries, sealing, the circuit breaker, the mint history."""
