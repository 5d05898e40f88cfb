"""The turns of one caller: what the doors can do with turns, and with no others."""

from collections.abc import Mapping
from typing import Any

from chat_app.caller import Caller
from chat_app.turns.registry import Turns
from chat_app.turns.turn import Turn


class OwnTurns:
    """`Turns` for a `caller`; each raises as it does there, and what begins or ends a turn also `ReadOnly`."""

    def __init__(self, turns: Turns, caller: Caller) -> None:
        self._turns = turns
        self._caller = caller

    async def start(
        self,
        content: str,
        chat_id: str | None = None,
        key: str | None = None,
        edit_of: str | None = None,
        settings: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Turn:
        self._caller.may_change()
        return await self._turns.start(content, chat_id, key, edit_of, settings, metadata, self._caller)

    async def regenerate(self, reply_id: str, *, key: str | None = None) -> Turn:
        self._caller.may_change()
        return await self._turns.regenerate(reply_id, key=key, caller=self._caller)

    async def continue_reply(self, reply_id: str, *, key: str | None = None) -> Turn:
        self._caller.may_change()
        return await self._turns.continue_reply(reply_id, key=key, caller=self._caller)

    async def stop(self, turn_id: str) -> Turn:
        self._caller.may_change()
        return await self._turns.stop(turn_id, self._caller)

    async def find(self, turn_id: str) -> Turn:
        return await self._turns.find(turn_id, self._caller)

    def version(self) -> int:
        return self._turns.version(self._caller.owner)

    async def changed(self, since: int) -> int:
        return await self._turns.changed(since, self._caller.owner)

    async def running(self, chat_id: str) -> Turn | None:
        return await self._turns.running(chat_id, self._caller)

    async def next(self, chat_id: str, after: str) -> Turn | None:
        return await self._turns.next(chat_id, after, self._caller)
