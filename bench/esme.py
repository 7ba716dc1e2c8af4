"""Another client at the same SMPP gateway, as a program of its own: `python -m bench.esme`.

It is told by bench.worker: `client` (aiosmpplib, smpplib or smpp34), `host`, `port`, `login`,
`password`, `sender`, `prefix` (three digits of the recipients, the rest are numbered), `text` and
`window`.  It binds as a transmitter where it can, and submits without asking for reports as fast
as it can until its input is closed.  `window` is how many may be unanswered: smpp34 keeps it
itself, for the other two, which have none, this program does.  0 is as the library does it when
nobody holds it back.

Only the gateway's counts are judged; what this program counts says what the client knew.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

MOST_WAITING = 2500
"""Messages in aiosmpplib's own queue: its default."""
UCS2 = 8


class Count:
    """Of what the client was told."""

    def __init__(self) -> None:
        self.answered = self.refused = self.given_up = 0

    def tell(self) -> None:
        _say(answered=self.answered, refused=self.refused, given_up=self.given_up)


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def _numbers(task: dict[str, Any]) -> Iterator[str]:
    for number in itertools.count():
        yield f"{task['prefix']}{number:08d}"


def _smpplib(task: dict[str, Any], count: Count) -> None:
    import smpplib.client
    import smpplib.exceptions

    text, window = task["text"].encode("utf-16-be"), task["window"]
    client = smpplib.client.Client(task["host"], task["port"], allow_unknown_opt_params=True)

    def answered(pdu: Any) -> None:
        count.answered += 1

    def refused(pdu: Any) -> None:
        count.refused += 1

    client.set_message_sent_handler(answered)
    client.set_error_pdu_handler(refused)
    client.connect()
    client.bind_transmitter(system_id=task["login"], password=task["password"])
    _say(up=True)
    for sent, to in enumerate(_numbers(task), 1):
        client.send_message(
            source_addr=task["sender"], destination_addr=to, short_message=text, data_coding=UCS2
        )
        while sent - count.answered - count.refused >= window:
            client.read_once()


async def _smpp34(task: dict[str, Any], count: Count) -> None:
    import smpp34

    text, numbers = task["text"].encode("utf-16-be"), _numbers(task)
    smsc = await smpp34.Client(
        task["host"],
        task["port"],
        task["login"],
        task["password"],
        bind_type="TX",
        window_size=task["window"],
    ).connect()
    _say(up=True)

    async def submit() -> None:
        for to in numbers:
            answer = await smsc.submit_sm(
                to, text, source_addr=task["sender"], data_coding=UCS2, registered_delivery=0
            )
            if answer.command_status:
                count.refused += 1
            else:
                count.answered += 1

    await asyncio.gather(*(submit() for _ in range(task["window"])))


async def _aiosmpplib(task: dict[str, Any], count: Count) -> None:
    import aiosmpplib
    from aiosmpplib.broker import AbstractBroker
    from aiosmpplib.hook import AbstractHook

    window, sender = task["window"], aiosmpplib.PhoneNumber(task["sender"])
    numbers = _numbers(task)
    room = asyncio.Semaphore(window) if window else None

    class Hook(AbstractHook):  # type: ignore[misc]  # the library has no types
        async def sending(self, smpp_message: object, pdu: bytes, client_id: str) -> None:
            pass

        async def received(self, smpp_message: object, pdu: bytes, client_id: str) -> None:
            if isinstance(smpp_message, aiosmpplib.SubmitSmResp):
                if smpp_message.command_status == aiosmpplib.SmppCommandStatus.ESME_ROK:
                    count.answered += 1
                else:
                    count.refused += 1
                if room is not None:
                    room.release()

        async def send_error(self, smpp_message: object, error: Exception, client_id: str) -> None:
            count.given_up += 1
            if room is not None:
                room.release()

    class Held(AbstractBroker):  # type: ignore[misc]
        """Gives the next message as soon as there is room in the window."""

        async def enqueue(self, message: Any) -> None:
            raise NotImplementedError("nothing is put here")

        async def dequeue(self) -> Any:
            assert room is not None, "only with a window"
            await room.acquire()
            return message()

    def message() -> Any:
        return aiosmpplib.SubmitSm(
            short_message=task["text"],
            source=sender,
            destination=aiosmpplib.PhoneNumber(next(numbers)),
            registered_delivery=0,
            encoding="ucs2",
        )

    async def flood(queue: Any) -> None:
        while True:
            await queue.enqueue(message())

    esme = aiosmpplib.ESME(
        task["host"],
        task["port"],
        task["login"],
        task["password"],
        bind_mode=aiosmpplib.BindMode.TRANSMITTER,
        hook=Hook(),
        broker=Held() if window else aiosmpplib.broker.SimpleBroker(MOST_WAITING),
        log_handler=logging.NullHandler(),
        log_level="CRITICAL",
    )
    await esme.connect()
    work = [esme.start()] if window else [esme.start(), flood(esme.broker)]
    _say(up=True)
    await asyncio.gather(*work)


def _leave_when_closed(count: Count) -> None:
    """From a thread of its own: under flood aiosmpplib's loop turns once in seconds.

    Without a farewell: its tasks do not end when they are cancelled, and smpp34's runtime can
    take the interpreter down when that ends.
    """
    sys.stdin.read()
    count.tell()
    os._exit(0)


def main() -> None:
    task = json.loads(sys.stdin.readline())
    count = Count()
    threading.Thread(target=_leave_when_closed, args=(count,), daemon=True).start()
    try:
        if task["client"] == "smpplib":
            _smpplib(task, count)
        else:
            asyncio.run((_smpp34 if task["client"] == "smpp34" else _aiosmpplib)(task, count))
    except Exception as exc:
        traceback.print_exc()
        _say(error=f"{task['client']}: {exc or type(exc).__name__}")
    # What has ended by itself has failed.
    os._exit(1)


if __name__ == "__main__":
    main()
