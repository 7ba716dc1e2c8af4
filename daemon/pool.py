"""All binds of all accounts: started, watched, stopped; and what each of them is doing.

All nodes stay logged in.  A node that loses its last bind hands its share to the others by itself,
because links pull; what this module does is to say so, in the metrics and in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from protocols.events import BindRefused, Event

from .account import Account
from .bind import Bind
from .carriers import Make
from .config import Account as Settings
from .config import Node
from .holds import Holds
from .link import Link, Owner
from .model import Message
from .tally import Tally

log = structlog.get_logger()

FAREWELL_WITHIN = 2.0
"""Seconds for all goodbyes together."""


class Pool:
    """`rerouted()` is called when an account became usable or stopped being so; `freed(message)`
    for every message that a lost link gives back without having written it.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        makers: Mapping[str, Make],
        owner: Owner,
        *,
        attach: Callable[[Link, Account], None],
        detach: Callable[[Link], None],
        rerouted: Callable[[], None],
        freed: Callable[[Message], None],
        tally: Tally,
        holds: Holds,
    ) -> None:
        self.accounts = accounts
        self.owner = owner
        self.attach = attach
        self.detach = detach
        self.rerouted = rerouted
        self.freed = freed
        self.tally = tally
        self.holds = holds
        self.binds: dict[str, list[Bind]] = {}
        self._of_link: dict[Link, Bind] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = False
        for name, account in accounts.items():
            self.binds[name] = [
                self._bind(account, node, number, mode, makers[name])
                for node, number, mode in places(account.settings)
            ]
            account.wake = partial(self._wake, account)

    def start(self) -> None:
        self._started = True
        for binds in self.binds.values():
            for bind in binds:
                self._keep(bind)

    def change(self, account: Account, make: Make, *, anew: bool) -> None:
        """The account's settings are others now: binds that they do not list any more end, and
        those that are new begin; with `anew` all of them do.
        """
        wanted = {
            (*_address(node), number, mode): (node, number, mode)
            for node, number, mode in places(account.settings)
        }
        kept: list[Bind] = []
        for bind in self.binds.get(account.name, []):
            place = wanted.pop((*_address(bind.node), bind.number, bind.mode), None)
            if anew or place is None:
                self._retire(bind)
                if place is not None:
                    wanted[*_address(bind.node), bind.number, bind.mode] = place
            else:
                bind.node = place[0]
                kept.append(bind)
        fresh = [
            self._bind(account, node, number, mode, make) for node, number, mode in wanted.values()
        ]
        self.binds[account.name] = kept + fresh
        account.wake = partial(self._wake, account)
        for bind in fresh if self._started else ():
            self._keep(bind)
        self._rest(account)
        self.rerouted()

    def end(self, account: Account) -> None:
        """The account is not configured any more."""
        for bind in self.binds.pop(account.name, []):
            self._retire(bind)
        self._rest(account)
        self.rerouted()

    def follow_holds(self, account: Account) -> None:
        """The account's binds do what the holds say of them now.

        What was not written by those that are held follows its route again; what was written in
        part waits for them.
        """
        now = asyncio.get_running_loop().time()
        for bind in self.binds.get(account.name, ()):
            held = self.holds.of(account.name, bind.node.name)
            before, how = bind.hold, held.how if held is not None else None
            if how == before:
                continue
            bind.told(how)
            link = bind.link
            if link is not None and before is None:
                for message in account.left(link):
                    self.freed(message)
            if how == "drained":
                self._own(asyncio.create_task(bind.drain(), name=f"bind {bind.name} drains"))
            elif how is None and link is not None and link.bound:
                link.returns(now, ramping=bool(account.links))
                account.joined(link)
        self._rest(account)
        self.rerouted()
        account.nudge()

    def _bind(self, account: Account, node: Node, number: int, mode: str, make: Make) -> Bind:
        bind = Bind(account, node, number, mode, make, self.owner, self)
        held = self.holds.of(account.name, node.name)
        bind.hold = held.how if held is not None else None
        return bind

    def _keep(self, bind: Bind) -> None:
        self._own(asyncio.create_task(bind.run(), name=f"bind {bind.name}"))

    def _retire(self, bind: Bind) -> None:
        """Nothing new goes to it; it says goodbye when its answers have come."""
        if bind.link is not None:
            for message in bind.account.left(bind.link):
                self.freed(message)
        self._own(asyncio.create_task(bind.retire(), name=f"bind {bind.name} ends"))

    def _own(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_died)

    async def stop(self) -> None:
        """Say goodbye everywhere and wait for it."""
        for binds in self.binds.values():
            for bind in binds:
                bind.stop()
        links = [bind.link for binds in self.binds.values() for bind in binds if bind.link]
        if links:
            await asyncio.wait([link.closed for link in links], timeout=FAREWELL_WITHIN)
        for link in links:
            link.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def held(self, account: str, node: str) -> int:
        """Binds of a node that an operator holds back."""
        return sum(
            bind.hold is not None and bind.node.name == node for bind in self.binds.get(account, ())
        )

    def usable(self, account: str) -> bool:
        return any(bind.usable for bind in self.binds.get(account, ()))

    def up(self, account: str, node: str) -> int:
        """Binds of a node that are logged in (SGIP: usable)."""
        return sum(
            bind.node.name == node
            and (bind.was_idle or (bind.link is not None and bind.link.bound))
            for bind in self.binds.get(account, ())
        )

    def _serves(self, account: str, node: str) -> bool:
        """Whether a node can take submits."""
        return any(bind.usable for bind in self.binds.get(account, ()) if bind.node.name == node)

    def links(self, account: str, node: str) -> list[Link]:
        return [
            bind.link
            for bind in self.binds.get(account, ())
            if bind.node.name == node and bind.link is not None
        ]

    # Links and binds tell

    def on_event(self, account: Account, link: Link, event: Event, now: float) -> None:
        bind = self._of_link.get(link)
        if bind is not None:
            if isinstance(event, BindRefused):
                self.tally.logins_refused[account.name, bind.node.name] += 1
            bind.on_event(link, event, now)

    def bind_up(self, bind: Bind, link: Link) -> None:
        self._rest(bind.account)
        if bind.hold is None:
            bind.account.joined(link)
        self.rerouted()

    def bind_down(self, bind: Bind, link: Link | None) -> None:
        """The bind cannot be used now; `link` is what it used, None for one that never was."""
        account = bind.account
        self._rest(account)
        if link is None:
            account.nudge()  # what waited for it goes to another, which nothing else may tell of
        else:
            was_writing = link in account.links
            for message in account.left(link):
                self.freed(message)
            self._of_link.pop(link, None)
            self.detach(link)
            if was_writing and link.failed and not self._serves(account.name, bind.node.name):
                for name in {other.label for other in account.takers()}:
                    self.tally.failovers[account.name, bind.node.name, name] += 1
                    log.warning(
                        "node lost", account=account.name, node=bind.node.name, goes_on=name
                    )
        self.rerouted()

    def bind_opened(self, bind: Bind, link: Link) -> None:
        self._of_link[link] = bind
        self.attach(link, bind.account)

    def _rest(self, account: Account) -> None:
        """Note which binds of the account rest."""
        resting = (
            bind.node.priority
            for bind in self.binds.get(account.name, ())
            if bind.was_idle and bind.writes and bind.hold is None
        )
        account.resting = min(resting, default=None)

    def _wake(self, account: Account) -> None:
        for bind in self.binds.get(account.name, ()):
            if (
                bind.state == "idle"
                and bind.hold is None
                and bind.node.priority == account.resting
                and not bind.wanted.is_set()
            ):
                bind.wanted.set()
                return


def _address(node: Node) -> tuple[str, str, int, str | None]:
    """What of a node a connection is made with."""
    return node.name, node.host, node.port, node.local_address


def places(settings: Settings) -> list[tuple[Node, int, str]]:
    """Node, number and mode of every connection that an account holds."""
    modes = ("tx", "rx") if settings.bind_mode == "tx+rx" else ("trx",)
    return [
        (node, number, mode)
        for node, binds in zip(settings.nodes, settings.binds_by_node, strict=True)
        for number in range(1, binds + 1)
        for mode in modes
    ]


def _died(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        context = {"message": task.get_name(), "exception": exc}
        task.get_loop().call_exception_handler(context)
