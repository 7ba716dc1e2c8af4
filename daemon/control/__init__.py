"""The control socket: how a command on the same machine asks a running daemon for something.

It is `control.sock` in `state_dir`, with mode 0600.  Whom the kernel names as the caller is
checked, too: root and the daemon's own user are welcome, anybody else is told so and logged.

A connection has one request, and its answer, each one line of JSON:

    {"do":"status"}
    {"ok":true,"name":"xz-a", ...}

    {"do":"hold","how":"paused","account":"xz-mobile","node":"nj-1"}
    {"ok":false,"error":"..."}

`requests` has all of them.  After the answer to `wiretap` more lines follow, until its time has
passed or either side closes.

A request has at most 4096 octets and comes within 2 s; 16 connections may be open, 4 of them
wiretaps; who does not read an answer for 10 s is closed.  A wiretap's reader may be as slow as it
likes: what the daemon cannot keep meanwhile is left out and counted.
"""
