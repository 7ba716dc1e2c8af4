"""Looking on while an account talks to its gateways: PDUs as they pass, with all hidden that is
nobody's business.

`taps` is the daemon's part: it keeps what passes in a bounded buffer while somebody looks on, and
costs nothing while nobody does.  `pcap` writes what was seen for programs that read captures.
"""
