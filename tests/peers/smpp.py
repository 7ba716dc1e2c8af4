"""Three independent SMPP clients, one call: bind, submit, collect ids and receipts, unbind.

A long message goes the way each library does best, so that together they use all three:
aiosmpplib puts the text into message_payload, smpplib splits it by user data header, and for
smpp34, which splits nothing itself, the parts carry the SAR parameters.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import aiosmpplib
import smpplib.client
import smpplib.exceptions
import smpplib.gsm
from aiosmpplib.hook import AbstractHook

from tests.peers.receipt import FINAL_RECEIPT, TYPE, WANTS_RECEIPT, parse

Name = Literal["aiosmpplib", "smpplib", "smpp34"]
NAMES: tuple[Name, ...] = ("aiosmpplib", "smpplib", "smpp34")

ROOT = Path(__file__).parents[2]
# Characters in one short message, by GSM 7-bit and by UCS-2.
WHOLE_GSM, WHOLE_UCS2 = 160, 70


@dataclass(frozen=True, slots=True)
class Message:
    """One message to submit, in ASCII if the text is, else in UCS-2."""

    to: str
    text: str
    sender: str = "10690001"


@dataclass(slots=True)
class Outcome:
    """What came back: ids per message, one for each submitted part; receipts as id → stat."""

    ids: list[list[str]] = field(default_factory=list)
    receipts: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return all(id_ in self.receipts for ids in self.ids for id_ in ids)


class RefusedError(Exception):
    """The gateway refused the bind or a submit."""


async def submit_with(
    name: Name,
    host: str,
    port: int,
    login: str,
    password: str,
    messages: Sequence[Message],
    *,
    within: float = 20,
) -> Outcome:
    """Binds as a transceiver, submits all, waits for a receipt of every part, unbinds.

    `within` is seconds for all of it. Raises RefusedError, ConnectionError when there is nobody or
    the link breaks, or TimeoutError with what did come.
    """
    run = {"aiosmpplib": _aiosmpplib, "smpplib": _smpplib, "smpp34": _smpp34}[name]
    outcome = Outcome()
    try:
        async with asyncio.timeout(within):
            await run(outcome, host, port, login, password, messages, within)
    except TimeoutError:
        raise TimeoutError(
            f"{name}: not all answered and receipted in {within} s: {outcome}"
        ) from None
    return outcome


class _Hook(AbstractHook):  # type: ignore[misc]  # the library has no types
    """Keeps what aiosmpplib reports; `log_id` is the message's place in the list."""

    def __init__(self, outcome: Outcome, count: int) -> None:
        self.outcome = outcome
        self.answered = 0
        self.changed = asyncio.Event()
        self.failure: Exception | None = None
        outcome.ids.extend([] for _ in range(count))

    async def sending(self, smpp_message: object, pdu: bytes, client_id: str) -> None:
        pass

    async def received(self, smpp_message: object, pdu: bytes, client_id: str) -> None:
        if isinstance(smpp_message, aiosmpplib.SubmitSmResp):
            if smpp_message.command_status != aiosmpplib.SmppCommandStatus.ESME_ROK:
                self.failure = RefusedError(f"submit_sm: {smpp_message.command_status.name}")
            self.outcome.ids[int(smpp_message.log_id)].append(smpp_message.message_id)
            self.answered += 1
        elif isinstance(smpp_message, aiosmpplib.DeliverSm) and smpp_message.is_receipt():
            receipt = smpp_message.parse_receipt()
            self.outcome.receipts[str(receipt["id"])] = str(receipt["stat"])
        elif smpp_message is None and (status := int.from_bytes(pdu[8:12], "big")):
            # It cannot read the refusal of a bind, which has no body.
            self.failure = RefusedError(f"status {status:#x}")
        self.changed.set()

    async def send_error(self, smpp_message: object, error: Exception, client_id: str) -> None:
        self.failure = error
        self.changed.set()

    async def wait(self, count: int) -> None:
        while self.answered < count or not self.outcome.complete:
            if self.failure is not None:
                raise self.failure
            self.changed.clear()
            await self.changed.wait()


async def _aiosmpplib(
    outcome: Outcome,
    host: str,
    port: int,
    login: str,
    password: str,
    messages: Sequence[Message],
    within: float,
) -> None:
    hook = _Hook(outcome, len(messages))
    esme = aiosmpplib.ESME(
        host, port, login, password, hook=hook, log_handler=logging.NullHandler()
    )
    for place, message in enumerate(messages):
        plain = message.text.isascii()
        long = len(message.text) > (WHOLE_GSM if plain else WHOLE_UCS2)
        submit = aiosmpplib.SubmitSm(
            short_message="" if long else message.text,
            message_payload=message.text if long else "",
            source=aiosmpplib.PhoneNumber(message.sender),
            destination=aiosmpplib.PhoneNumber(message.to),
            registered_delivery=WANTS_RECEIPT,
            encoding="gsm0338" if plain else "ucs2",
            log_id=str(place),
        )
        await esme.broker.enqueue(submit)
    running = None
    try:
        await esme.connect()
        running = asyncio.create_task(esme.start())
        await asyncio.sleep(0)  # Only once it has begun does stopping it unbind.
        await hook.wait(len(messages))
    except aiosmpplib.SmppError as error:
        raise RefusedError(f"{error.smpp_command.name}: {error.command_status.name}") from error
    except ValueError as error:
        raise hook.failure or error from error
    finally:
        # It ends the stream from its side and forgets it; closing is left to whoever cares.
        writer = esme._writer
        if running is not None:
            await esme.stop()
            await running
        if writer is not None:
            writer.close()


async def _smpplib(
    outcome: Outcome,
    host: str,
    port: int,
    login: str,
    password: str,
    messages: Sequence[Message],
    within: float,
) -> None:
    # It blocks; its thread ends by itself at the deadline.
    await asyncio.to_thread(
        _smpplib_blocking, outcome, host, port, login, password, messages, within
    )


def _smpplib_blocking(
    outcome: Outcome,
    host: str,
    port: int,
    login: str,
    password: str,
    messages: Sequence[Message],
    within: float,
) -> None:
    deadline = time.monotonic() + within
    answers: dict[int, str] = {}
    client = smpplib.client.Client(host, port, timeout=0.5, allow_unknown_opt_params=True)

    def sent(pdu: smpplib.smpp.command.SubmitSMResp) -> None:
        answers[pdu.sequence] = pdu.message_id.decode()

    def received(pdu: smpplib.smpp.command.DeliverSM) -> None:
        if pdu.esm_class & TYPE == FINAL_RECEIPT:
            id_, stat = parse(pdu.short_message)
            outcome.receipts[id_] = stat

    client.set_message_sent_handler(sent)
    client.set_message_received_handler(received)
    try:
        client.connect()
        client.bind_transceiver(system_id=login, password=password)
        sequences: list[list[int]] = []
        for message in messages:
            parts, coding, esm_class = smpplib.gsm.make_parts(message.text)
            submits = [
                client.send_message(
                    source_addr=message.sender,
                    destination_addr=message.to,
                    short_message=part,
                    data_coding=coding,
                    esm_class=esm_class,
                    registered_delivery=WANTS_RECEIPT,
                )
                for part in parts
            ]
            sequences.append([submit.sequence for submit in submits])
        while time.monotonic() < deadline:
            if all(sequence in answers for parts in sequences for sequence in parts):
                outcome.ids[:] = [[answers[s] for s in parts] for parts in sequences]
                if outcome.complete:
                    break
            client.read_once()
        client.unbind()
    except smpplib.exceptions.PDUError as error:
        raise RefusedError(str(error)) from error
    except smpplib.exceptions.ConnectionError as error:
        raise ConnectionError(f"smpplib: {error or 'the connection broke'}") from error
    finally:
        client.disconnect()


async def _smpp34(
    outcome: Outcome,
    host: str,
    port: int,
    login: str,
    password: str,
    messages: Sequence[Message],
    within: float,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.peers.esme34"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    task = {
        "host": host,
        "port": port,
        "login": login,
        "password": password,
        "connect": min(3, within / 2),
        "messages": [dataclasses.asdict(message) for message in messages],
    }
    outcome.ids.extend([] for _ in messages)
    submitted = done = False
    try:
        process.stdin.write(json.dumps(task).encode() + b"\n")
        async for line in process.stdout:
            told = json.loads(line)
            if "id" in told:
                outcome.ids[told["message"]].append(told["id"])
            elif "receipt" in told:
                outcome.receipts[told["receipt"]] = told["stat"]
            elif "refused" in told:
                raise RefusedError(told["refused"])
            elif "unreachable" in told:
                raise ConnectionError(told["unreachable"])
            submitted = submitted or "submitted" in told
            done = done or "done" in told
            if submitted and outcome.complete:
                process.stdin.close()
        if not done:
            raise ConnectionError(f"smpp34 ended early, {outcome}")
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        process.stdin.close()
