"""SMPP clients that somebody else wrote, logged in to our simulated gateway.

What the gateway counted is compared with what the client says of itself, and its strict check must
find nothing wrong with what others send.
"""

from __future__ import annotations

import asyncio

import pytest
import smpplib.client

from tests.contract.process import until
from tests.peers import smpp

from .simulated import ACCESS, LOGIN, LONG_ASCII, PASSWORD, agrees, deliver, gateway, submits, text

MESSAGES = {
    "ascii": smpp.Message("8613900000001", "hello, world", ACCESS),
    "chinese": smpp.Message("8613900000002", "您好，世界", ACCESS),
    "long chinese": smpp.Message("8613900000003", "长" * 150, ACCESS),
    "long ascii": smpp.Message("8613900000004", LONG_ASCII, ACCESS),
}


@pytest.mark.parametrize("name", smpp.NAMES)
async def test_an_smpp_clients_texts_are_answered_and_reported(name: smpp.Name) -> None:
    async with gateway("smpp", delay=0.01, report_delay=0.02) as (made, node):
        sent = list(MESSAGES.values())
        outcome = await smpp.submit_with(name, "127.0.0.1", made.port, LOGIN, PASSWORD, sent)
        parts = sum(len(ids) for ids in outcome.ids)
        assert outcome.receipts == {id_: "DELIVRD" for ids in outcome.ids for id_ in ids}
        assert len(outcome.receipts) == parts
        for message, ids in zip(sent, outcome.ids, strict=True):
            received = submits(node, message.to)
            assert text(received) == message.text
            assert len(received) == len(ids)
            assert all(part.sender == ACCESS and part.wants_report for part in received)
        await until(lambda: made.connections == 0, what="the client's leave")
        agrees(node, parts)
        assert (node.counts.logins, node.counts.closed_in_error) == (1, 0)


@pytest.mark.parametrize("name", smpp.NAMES)
async def test_an_smpp_client_with_a_wrong_password_is_refused(name: smpp.Name) -> None:
    async with gateway("smpp") as (made, node):
        with pytest.raises((smpp.RefusedError, ConnectionError)):
            await smpp.submit_with(
                name, "127.0.0.1", made.port, LOGIN, "wrong", [MESSAGES["ascii"]], within=10
            )
        assert (node.counts.logins, node.counts.submits) == (0, 0)
        assert node.counts.logins_refused >= 1


@pytest.mark.parametrize("name", smpp.NAMES)
async def test_an_smpp_client_hears_of_what_was_not_delivered(name: smpp.Name) -> None:
    async with gateway("smpp", report_delay=0.02, undelivered=1.0) as (made, node):
        made.change(node, {"undelivered_codes": ["REJECTD"]})
        outcome = await smpp.submit_with(
            name, "127.0.0.1", made.port, LOGIN, PASSWORD, [MESSAGES["chinese"]]
        )
        assert list(outcome.receipts.values()) == ["REJECTD"]


@pytest.mark.parametrize("header", ["udh8", "sar"])
async def test_a_subscribers_message_reaches_an_smpp_client(header: str) -> None:
    written = "长" * 100
    async with gateway("smpp") as (made, node):
        reading = asyncio.create_task(asyncio.to_thread(take_inbound, made.port, 3))
        await until(lambda: node.counts.logins == 1, what="the login")
        assert deliver(node, made, "13900000009", "TD") == 1
        assert deliver(node, made, "13900000009", written, header) == 2
        short, *long = await reading
        assert short == ("13900000009", ACCESS, b"TD", None)
        octets = b""
        for sender, to, content, sar in long:
            assert (sender, to) == ("13900000009", ACCESS)
            assert (sar is not None) == (header == "sar")
            octets += content if sar is not None else content[1 + content[0] :]
        assert octets.decode("utf-16-be") == written
        await until(lambda: node.counts.inbound_taken == 3, what="the answers")


def take_inbound(port: int, count: int) -> list[tuple[str, str, bytes, int | None]]:
    """What `count` deliver_sm brought smpplib: sender, recipient, content, SAR's part number."""
    taken: list[tuple[str, str, bytes, int | None]] = []

    def received(pdu: smpplib.smpp.command.DeliverSM) -> None:
        taken.append(
            (
                pdu.source_addr.decode(),
                pdu.destination_addr.decode(),
                pdu.short_message,
                pdu.sar_segment_seqnum,
            )
        )

    client = smpplib.client.Client("127.0.0.1", port, timeout=5, allow_unknown_opt_params=True)
    client.set_message_received_handler(received)
    client.connect()
    try:
        client.bind_transceiver(system_id=LOGIN, password=PASSWORD)
        while len(taken) < count:
            client.read_once()
        client.unbind()
    finally:
        client.disconnect()
    return taken
