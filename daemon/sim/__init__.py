"""Simulated gateways of the four protocols: for tests, the bench, the demo and `simulate`."""
