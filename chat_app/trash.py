"""What is deleted: chats in the trash for a while, and words of deleted ones in the full-text index."""

import asyncio
import logging
from datetime import timedelta

from chat_app.store.store import Store

logger = logging.getLogger(__name__)

TRASH_S = 300.0
"""How long a deleted chat can be restored. The trash is emptied at every start too."""


class Trash:
    """Of all owners."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._emptying: set[asyncio.Task[None]] = set()
        self._forgetting: asyncio.Task[None] | None = None
        self._deleted = asyncio.Event()

    async def open(self) -> None:
        """Empty it: whoever threw something in has gone with the server that ended."""
        self._forgetting = asyncio.create_task(self._forget_what_is_deleted(), name="forget what is deleted")
        if await self._store.empty_trash():
            self.forget_soon()

    async def close(self) -> None:
        tasks = self._emptying | ({self._forgetting} if self._forgetting else set())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def forget_soon(self) -> None:
        """A chat was deleted for good."""
        self._deleted.set()

    def empty_later(self, chat_id: str) -> None:
        """The chat is in the trash from now on."""
        task = asyncio.create_task(self._empty_later(), name=f"trash {chat_id}")
        self._emptying.add(task)
        task.add_done_callback(self._emptying.discard)

    @property
    def emptying(self) -> bool:
        """Whether there is anything that is to be deleted later."""
        return bool(self._emptying)

    async def _empty_later(self) -> None:
        await asyncio.sleep(TRASH_S)
        try:
            await self._store.empty_trash(timedelta(seconds=TRASH_S))
            self.forget_soon()
        except Exception:
            # Nothing is lost: the next start empties it.
            logger.warning("the trash could not be emptied", exc_info=True)

    async def _forget_what_is_deleted(self) -> None:
        """Once for all that was deleted meanwhile."""
        while await self._deleted.wait():
            self._deleted.clear()
            try:
                await self._store.database.forget()
            except Exception:
                # It is done with the next chat that is deleted.
                logger.warning("words of a deleted chat could not be taken out of the index", exc_info=True)
