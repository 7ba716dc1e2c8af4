"""The pages of the documentation and what writes their references; nothing of it is installed."""
