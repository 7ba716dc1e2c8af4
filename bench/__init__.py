"""Measures the daemon from outside, and parts of it alone; see README.md for what and how."""
