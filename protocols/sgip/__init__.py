"""China Unicom's Short Message Gateway Interface Protocol, version 1.2."""
