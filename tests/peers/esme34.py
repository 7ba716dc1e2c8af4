"""smpp34's client as a program: its runtime can take the interpreter down when it ends, so it
gets one of its own.

Reads one JSON object from standard input (host, port, login, password, connect as seconds, messages
as a list of {to, text, sender}) and writes one a line: {"message": place, "id": …} for each answer,
{"submitted": true} after the last of them, {"receipt": id, "stat": …} for each receipt,
{"refused": …} or {"unreachable": …}. It waits for receipts until its input is closed, then unbinds
and writes {"done": true}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import smpp34

from tests.peers.receipt import FINAL_RECEIPT, TYPE, WANTS_RECEIPT, parse

UCS2 = 8
# Section 5.3.2: sar_msg_ref_num, sar_total_segments, sar_segment_seqnum.
SAR_REF, SAR_TOTAL, SAR_NUMBER = 0x020C, 0x020E, 0x020F
# Octets of user data in one short message, and the same beside the header a phone will see.
WHOLE, PART = 140, 134
WHOLE_ASCII, PART_ASCII = 160, 153


def tell(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def encoded(text: str) -> tuple[int, list[bytes]]:
    """The data coding and the parts, no character cut in two."""
    plain = text.isascii()
    whole = text.encode("ascii" if plain else "utf-16-be")
    if len(whole) <= (WHOLE_ASCII if plain else WHOLE):
        return (0 if plain else UCS2), [whole]
    if plain:
        return 0, [whole[at : at + PART_ASCII] for at in range(0, len(whole), PART_ASCII)]
    return UCS2, list(ucs2_parts(text))


def ucs2_parts(text: str) -> Iterator[bytes]:
    part = b""
    for character in text:
        octets = character.encode("utf-16-be")
        if len(part) + len(octets) > PART:
            yield part
            part = b""
        part += octets
    yield part


async def submit(smsc: smpp34.Smsc, place: int, message: dict[str, str]) -> bool:
    """Whether every part was accepted."""
    coding, parts = encoded(message["text"])
    for number, part in enumerate(parts, start=1):
        sar = [
            smpp34.Tlv(SAR_REF, (place + 1).to_bytes(2, "big")),
            smpp34.Tlv(SAR_TOTAL, bytes([len(parts)])),
            smpp34.Tlv(SAR_NUMBER, bytes([number])),
        ]
        answer = await smsc.submit_sm(
            message["to"],
            part,
            source_addr=message["sender"],
            data_coding=coding,
            registered_delivery=WANTS_RECEIPT,
            tlvs=sar if len(parts) > 1 else [],
        )
        if answer.command_status or answer.message_id is None:
            tell(refused=f"submit_sm: status {answer.command_status:#x}")
            return False
        tell(message=place, id=answer.message_id)
    return True


async def receipts(smsc: smpp34.Smsc) -> None:
    """Until the connection ends, from either side."""
    while True:
        event = await smsc.next()
        if isinstance(event, smpp34.Disconnected):
            return
        if event.esm_class & TYPE == FINAL_RECEIPT:
            id_, stat = parse(event.short_message)
            tell(receipt=id_, stat=stat)


async def run(task: dict[str, Any]) -> None:
    client = smpp34.Client(
        task["host"],
        task["port"],
        task["login"],
        task["password"],
        bind_type="TRX",
        connect_timeout_ms=int(task["connect"] * 1000),
    )
    try:
        smsc = await client.connect()
    except smpp34.SmppError as error:
        # A refused bind is to it a bind that was never answered.
        if "TCP" in str(error):
            tell(unreachable=str(error))
        else:
            tell(refused=f"bind: {error}")
        return
    collecting = asyncio.create_task(receipts(smsc))
    for place, message in enumerate(task["messages"]):
        if not await submit(smsc, place, message):
            return
    tell(submitted=True)
    finished = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait({collecting, finished}, return_when=asyncio.FIRST_COMPLETED)
    if not finished.done():
        await collecting
        tell(unreachable="the gateway closed the connection")
        return
    await smsc.unbind()
    tell(done=True)


async def main() -> None:
    try:
        await run(json.loads(sys.stdin.readline()))
    except Exception:
        traceback.print_exc()
        os._exit(1)
    # Leave without the interpreter's farewell: see above.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
