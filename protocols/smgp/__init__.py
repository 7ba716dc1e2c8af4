"""SMGP 3.0: China Telecom's Short Message Gateway Protocol."""
