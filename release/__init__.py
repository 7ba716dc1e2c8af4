"""Checks of what is delivered, for `make release-check`: for minutes they build, install, run."""
