"""A whole system on loopback: simulated gateways, the daemon, and traffic between them.

`carrierd demo` shows one to people, the bench measures others.  Gateways and daemon are processes
of their own, started as an operator would, so that nothing here shares their time.
"""
