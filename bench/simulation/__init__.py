"""A discrete-event simulation of a fleet on one shared cache: ``make sim``, read in docs/simulation.md.

Every simulated host runs the library itself: a :class:`~m2m_auth.TokenSource`, its token state, its flights and their
seven steps, its life-cycle arithmetic. Only the things around it are simulated: time, threads, calls, the shared cache,
the authorization server, crashes and wrong clocks.
"""
