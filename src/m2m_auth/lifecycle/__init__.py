"""When a token is renewed and what a failure means, as arithmetic: no I/O, no clock, no lock, no randomness."""
