"""What the front doors share: the options, the steps of a call, replaying a body, the transports."""
