"""Captures, read by a program that is not ours, and by Wireshark's own where it is there."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import dpkt
import pytest

from daemon.wiretap.pcap import SEGMENT, Flow, Pcap
from protocols.hide import hide
from tests.protocols import vectors

AT = 1_780_000_000.25


def written(*pdus: tuple[Flow, bool, bytes]) -> bytes:
    file = io.BytesIO()
    pcap = Pcap(file)
    for place, (flow, incoming, pdu) in enumerate(pdus):
        pcap.write(AT + place / 1000, flow, incoming, pdu)
    return file.getvalue()


def packets(data: bytes) -> list[tuple[float, Any, Any]]:
    """Time, IP and TCP of each."""
    found = []
    for at, frame in dpkt.pcap.Reader(io.BytesIO(data)):
        ip = dpkt.ethernet.Ethernet(frame).data
        found.append((at, ip, ip.data))
    return found


@pytest.mark.parametrize(
    ("family", "ours", "theirs"),
    [(socket.AF_INET, "10.20.9.5", "10.20.0.11"), (socket.AF_INET6, "fd00::1", "fd00::2")],
)
def test_packets_have_addresses_ports_and_right_checksums(
    family: int, ours: str, theirs: str
) -> None:
    flow = Flow((ours, 40001), (theirs, 7890))
    read = packets(written((flow, False, b"abc"), (flow, True, b"defgh"), (flow, False, b"ij")))
    assert [bytes(tcp.data) for _, _, tcp in read] == [b"", b"", b"", b"abc", b"defgh", b"ij"]
    for _, ip, tcp in read:
        ends = [(socket.inet_ntop(family, ip.src), tcp.sport)]
        ends.append((socket.inet_ntop(family, ip.dst), tcp.dport))
        assert sorted(ends) == sorted([(ours, 40001), (theirs, 7890)])
        # dpkt works a checksum out anew when it is 0.
        again, tcp.sum = tcp.sum, 0
        if family == socket.AF_INET:
            said, ip.sum = ip.sum, 0
            rebuilt = dpkt.ip.IP(bytes(ip))
            assert (rebuilt.sum, rebuilt.data.sum) == (said, again)
        else:
            assert dpkt.ip6.IP6(bytes(ip)).data.sum == again
    assert float(read[3][0]) == AT


def test_sequence_numbers_go_on_without_gaps_after_a_handshake() -> None:
    flow = Flow(("10.0.0.1", 1), ("10.0.0.2", 2), called=True)
    read = [tcp for _, _, tcp in packets(written((flow, True, b"abc"), (flow, False, b"de")))]
    assert [(tcp.sport, tcp.flags, tcp.seq, tcp.ack) for tcp in read] == [
        (2, 0x02, 0, 0), (1, 0x12, 0, 1), (2, 0x10, 1, 1), (2, 0x18, 1, 1), (1, 0x18, 1, 4)
    ]  # fmt: skip


def test_a_pdu_that_no_packet_holds_is_in_several() -> None:
    flow = Flow(("10.0.0.1", 1), ("10.0.0.2", 2))
    long = bytes(range(256)) * 273
    read = [tcp for _, _, tcp in packets(written((flow, False, long)))][3:]
    assert [len(tcp.data) for tcp in read] == [SEGMENT, SEGMENT, len(long) - 2 * SEGMENT]
    assert b"".join(bytes(tcp.data) for tcp in read) == long


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize(
    ("protocol", "version", "port", "names"),
    [
        ("cmpp", "2.0", 7890, {"submit": "0x00000004", "deliver": "0x00000005"}),
        ("cmpp", "3.0", 7890, {"submit": "0x00000004", "submit_resp": "0x80000004"}),
        ("smpp", "3.4", 2775, {"submit_sm": "0x00000004", "deliver_sm": "0x00000005"}),
    ],
)
def test_wireshark_reads_what_was_hidden_for_it(
    tmp_path: Path, protocol: str, version: str, port: int, names: dict[str, str]
) -> None:
    known = [v for v in vectors.pdus() if (v["protocol"], v["version"]) == (protocol, version)]
    # Its CMPP does not believe in lists of a hundred.
    sent = [v for v in known if v["pdu"] in names and len(v["hex"]) < 3000]
    assert {v["pdu"] for v in sent} == set(names)
    layers, shown = [
        dissected(tmp_path, protocol, port, [(v["pdu"] != "submit", pdu) for v, pdu in pdus])
        for pdus in (
            [(v, bytes.fromhex(v["hex"])) for v in sent],
            [(v, hide(protocol, version, bytes.fromhex(v["hex"]))) for v in sent],
        )
    ]
    command = {"cmpp": "cmpp.Command_Id", "smpp": "smpp.command_id"}[protocol]
    assert len(shown) == len(sent)
    for vector, before, after in zip(sent, layers, shown, strict=True):
        assert after["tcp"]["tcp.checksum.status"] == "1"
        text = str(after[protocol])
        assert command in text
        assert names[vector["pdu"]] in text
        # What it takes exception to, as to fields of 3.0, is none of our making.
        assert ("_ws.malformed" in str(after)) <= ("_ws.malformed" in str(before))


def dissected(
    directory: Path, protocol: str, port: int, pdus: list[tuple[bool, bytes]]
) -> list[dict[str, Any]]:
    """What Wireshark makes of each."""
    flow = Flow(("10.0.0.1", 40001), ("10.0.0.2", port))
    file = directory / "seen.pcap"
    file.write_bytes(written(*[(flow, incoming, pdu) for incoming, pdu in pdus]))
    shown = subprocess.run(
        ["tshark", "-r", file, "-T", "json", "-o", "tcp.check_checksum:TRUE"]
        + ["--disable-heuristic", "smpp_tcp"] * (protocol == "cmpp"),
        capture_output=True,
        check=True,
        timeout=60,
    )
    return [packet["_source"]["layers"] for packet in json.loads(shown.stdout)][3:]
