"""What the front doors share: the auth flow, replaying a body, the transports."""
