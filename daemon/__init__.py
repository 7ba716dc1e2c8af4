"""The carrier daemon: policy and plumbing around the pure protocols."""
