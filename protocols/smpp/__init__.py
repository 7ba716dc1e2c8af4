"""Short Message Peer to Peer, version 3.4, tolerating peers of 5.0."""
