"""A pizza shop whose page watches its orders with a token that can do nothing else."""
