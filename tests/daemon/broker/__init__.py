"""The brokers: what both promise, and what is particular to each."""
