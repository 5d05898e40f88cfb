"""What is true of turns, whichever process runs them: asked here, and nowhere else.

A turn is run by one owner, and followed and stopped from anywhere. The database has the last word on how it ended. Here
is the protocol only; `memory` is its home in one process, with nothing to install.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from chat_app.caller import LOCAL, Caller
from chat_app.models import Message
from chat_app.turns.log import Event, Log


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn that runs, or that has just ended: its messages as they were at its start, who runs it, and who asked."""

    user: Message
    reply: Message
    owner: str
    ended_at: int | None = None
    """The number of its end, once it has ended."""
    caller: Caller = LOCAL

    @property
    def turn_id(self) -> str:
        return self.reply.id

    @property
    def chat_id(self) -> str:
        return self.reply.chat_id


class Backplane(Protocol):
    """Whatever may take a way over the network is awaited, and may take any time."""

    @property
    def log(self) -> Log:
        """The events of the turns."""
        ...

    def version(self, owner: str = "") -> int:
        """Another one after each change of this owner's chats."""
        ...

    def beginning(self) -> AbstractAsyncContextManager[None]:
        """Within the block a turn is saved, and then added."""
        ...

    async def begun(self) -> None:
        """Wait until each turn that is being saved right now, by anybody, has been added or has failed to begin."""
        ...

    async def add(self, entry: Entry, stop: Callable[[], None]) -> None:
        """The turn runs from now on, with an empty log. `stop` is called in the owner's loop when anybody asks for it,
        perhaps more than once."""
        ...

    async def end(self, turn_id: str, events: Sequence[Event]) -> None:
        """The turn has ended, and is saved. `events` are all of it, the `Ended` last: readers under way are told that
        one, and those that come within some time get them all."""
        ...

    async def forget(self, chat_id: str) -> None:
        """The chat was deleted: none of its turns is found here any more. Readers under way are not cut off."""
        ...

    async def turn(self, turn_id: str) -> Entry | None:
        """The turn, if it runs or has just ended."""
        ...

    async def of_chat(self, chat_id: str) -> list[Entry]:
        """The turns of a chat that run or have just ended, the oldest first."""
        ...

    async def owner(self, turn_id: str) -> str | None:
        """Who runs the turn; None if nobody does, or not any more."""
        ...

    async def answering(self) -> set[str]:
        """The ids of the chats in which a turn runs."""
        ...

    async def stop(self, turn_id: str) -> None:
        """Ask the owner to stop the turn, if it runs; the log tells when it has."""
        ...

    async def announce(self, owner: str = "") -> None:
        """Something has changed that the owner's list or chats show: wake those who wait in `changed`."""
        ...

    async def changed(self, since: int, owner: str = "") -> int:
        """Wait until `version` is another than `since`, and return it."""
        ...
