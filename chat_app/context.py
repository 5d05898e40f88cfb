"""What an agent may know beside the messages: an argument named `context` gets it.

`Values` are a chat's own: small, read when a turn begins, and saved whenever they change.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from chat_app.caller import Person
from chat_app.models import Message
from chat_app.store.store import Store

logger = logging.getLogger(__name__)

MAX_VALUES_CHARS = 65_536
"""Of a chat's values, as JSON."""


class Values(MutableMapping[str, Any]):
    """A dict that a chat keeps, also when the server restarts: keys are text, values are anything that JSON can hold.

    A value that is set is saved at once, in the background; one that was changed in place, at the end of the turn.
    It may be used in the thread of a plain function.
    """

    def __init__(self, data: Mapping[str, Any], save: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """To be made in the event loop."""
        self._data = dict(data)
        self._saved = _dumps(self._data)
        self._save = save
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._saving: asyncio.Task[None] | None = None
        self._closed = False

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Raises TypeError, ValueError: it is not JSON, or all values together would be too long."""
        if not isinstance(key, str):
            raise TypeError(f"The key of a value is text, not {type(key).__name__}.")
        # A copy, and just what a later turn will find.
        self._change(self._data | {key: json.loads(_dumps(value))})

    def __delitem__(self, key: str) -> None:
        if key not in self._data:
            raise KeyError(key)
        self._change({name: value for name, value in self._data.items() if name != key})

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As a dict's: what is kept, which may then be changed in place."""
        if key not in self._data:
            self[key] = default
        return self[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return f"Values({self._data!r})"

    async def close(self) -> None:
        """Save what is not saved yet; nothing can be set any more."""
        self._closed = True
        await self._save_now()

    def _change(self, data: dict[str, Any]) -> None:
        if self._closed:
            raise RuntimeError("The turn has ended, and its values are saved. Set values while the answer is made.")
        _bounded(_dumps(data))
        self._data = data
        self._loop.call_soon_threadsafe(self._save_soon)

    def _save_soon(self) -> None:
        if self._saving is None or self._saving.done():
            self._saving = self._loop.create_task(self._save_now(), name="values")

    async def _save_now(self) -> None:
        async with self._lock:
            try:
                text = _bounded(_dumps(self._data))
                if text != self._saved:
                    await self._save(json.loads(text))
                    self._saved = text
            except Exception:
                # The answer is not to end with it; the next change, or the end of the turn, saves them all.
                logger.exception("the values of a chat could not be saved")


@dataclass(frozen=True, slots=True)
class Context:
    """Of one turn. The ids are empty for a request to `/v1` that belongs to no chat; its `values` are kept nowhere.

    `turn_id` and `message_id` are the answer's, as in the API; `question_id` is the message that it answers. `person`
    is who asks, None on a server without accounts. `metadata` is what the request brought, `settings` what is set for
    the chat: `model`, `temperature`, `system_prompt`.
    """

    chat_id: str
    turn_id: str
    message_id: str
    question_id: str
    person: Person | None
    metadata: Mapping[str, Any]
    settings: Mapping[str, Any]
    values: Values


class Contexts:
    """Makes the context of each turn."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @asynccontextmanager
    async def of_turn(
        self, user: Message, reply: Message, settings: Mapping[str, Any], person: Person | None = None
    ) -> AsyncIterator[Context]:
        """Within the block the turn's answer is made; its values are saved at the end, however it ends."""
        chat_id = reply.chat_id

        async def save(data: dict[str, Any]) -> None:
            await self._store.save_values(chat_id, data)

        values = Values(await self._store.values(chat_id), save)
        metadata = (await self._store.request(user.id)).given or {}
        try:
            yield Context(chat_id, reply.id, reply.id, user.id, person, _frozen(metadata), _frozen(settings), values)
        finally:
            await values.close()


def of_no_chat(metadata: Mapping[str, Any], settings: Mapping[str, Any], person: Person | None = None) -> Context:
    async def save(data: dict[str, Any]) -> None:
        """There is nothing that they belong to."""

    return Context("", "", "", "", person, _frozen(metadata), _frozen(settings), Values({}, save))


def _frozen(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(given))


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _bounded(text: str) -> str:
    if len(text) > MAX_VALUES_CHARS:
        raise ValueError(
            f"The values of a chat would have {len(text):,} characters as JSON; at most {MAX_VALUES_CHARS:,} are kept. "
            "Keep less, or keep it elsewhere under the chat's id."
        )
    return text
