"""Builds the graph once: settings → store → replies → turns. The doors call `get_service()` and nothing below it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chat_app.config import ROOT, Settings, load_settings
from chat_app.errors import ChatError, NotFound
from chat_app.log import MemoryLog
from chat_app.models import Chat
from chat_app.replies.openai_service import OpenAIService
from chat_app.store import Store
from chat_app.turns import Turns

if TYPE_CHECKING:
    from chat_app.replies.local_model import LocalModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """What the doors use. `model` is None unless the embedded model serves."""

    settings: Settings
    store: Store
    openai: OpenAIService
    turns: Turns
    local_model: "LocalModel | None"

    async def model_name(self) -> str:
        """What serves, as the page shows it; empty while the provider cannot be asked."""
        if self.local_model:
            return self.local_model.name
        with suppress(ChatError):
            return await self.openai.model()
        return ""

    async def create_chat(self, title: str) -> Chat:
        chat = await self.store.create_chat(title)
        self.turns.announce()
        return chat

    async def rename_chat(self, chat_id: str, title: str) -> Chat:
        """Raises NotFound."""
        chat = await self.store.rename_chat(chat_id, title)
        self.turns.announce()
        return chat

    async def delete_chat(self, chat_id: str) -> None:
        """Stop what runs in the chat and delete it. Raises NotFound."""
        while turn := self.turns.running(chat_id):
            with suppress(NotFound):
                await self.turns.stop(turn.id)
        await self.store.delete_chat(chat_id)
        self.turns.forget(chat_id)

    async def open(self) -> None:
        await self.store.open()
        if orphans := await self.turns.recover():
            logger.warning("%d answers were cut off when the server last ended; their text is kept", orphans)
        if self.local_model:
            await self.local_model.start()

    async def end_turns(self) -> None:
        """Let running turns end for a while, then stop and save them."""
        await self.turns.close(self.settings.shutdown_grace)

    async def close(self) -> None:
        await self.turns.close()
        await self.openai.close()
        if self.local_model:
            await self.local_model.close()
        await self.store.close()


def build(settings: Settings) -> Service:
    """The graph for these settings; nothing is opened or started yet."""
    store = Store(settings.database_url)
    local_model = None
    if settings.embedded:
        from chat_app.replies.local_model import LocalModel

        # One model for all workers of one app: they share its port.
        local_model = LocalModel(settings.local_model_path, ROOT / "data" / f"local-model-{settings.port}.lock")
        openai = OpenAIService(
            base_url=local_model.base_url,
            system_prompt=settings.system_prompt,
            context_tokens=local_model.context_tokens,
        )
    else:
        openai = OpenAIService(
            api_key=settings.openai_api_key.get_secret_value() if settings.openai_api_key else None,
            base_url=settings.openai_base_url,
            model=settings.openai_model,
            system_prompt=settings.system_prompt,
        )
    turns = Turns(
        store,
        MemoryLog(),
        openai.reply,
        max_message_chars=settings.max_message_chars,
        first_token_timeout=settings.first_token_timeout,
        next_token_timeout=settings.next_token_timeout,
    )
    return Service(settings, store, openai, turns, local_model)


_service: Service | None = None


@asynccontextmanager
async def serving(settings: Settings | None = None) -> AsyncIterator[Service]:
    """The service for the time that the app serves."""
    global _service
    _service = build(settings or load_settings())
    try:
        await _service.open()
        yield _service
    finally:
        # Shielded: a second cancel at shutdown must not cut the final writes short.
        await asyncio.shield(_service.close())
        _service = None


def get_service() -> Service:
    """The service of the running app."""
    if _service is None:
        raise RuntimeError("The service runs only while the app serves: enter chat_app.service.serving() first.")
    return _service
