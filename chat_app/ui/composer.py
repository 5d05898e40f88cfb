"""The message box at the foot of the page: send, and stop in the same place while an answer grows."""

import json
from typing import Any

import reflex as rx
from reflex.event import EventSpec

from chat_app.errors import ChatError
from chat_app.service import get_service
from chat_app.ui.connection import connection_chip
from chat_app.ui.elements import MessageBox
from chat_app.ui.icons import icon
from chat_app.ui.live import Live
from chat_app.ui.settings import ChatSettings
from chat_app.ui.transcript import Transcript


class Composer(rx.State):
    model: str = ""
    embedded: bool = False

    @rx.event(background=True)
    async def load(self) -> None:
        service = get_service()
        # Outside the state's lock: a provider that does not answer must not hold the page up.
        model = await service.model_name()
        async with self:
            self.model = model
            self.embedded = service.local_model is not None

    @rx.event
    async def send(self, form: dict[str, Any]) -> Any:
        """Start a turn; `Live.watch` shows it. A refused message goes back into the box."""
        return await self._send(str(form.get("message", "")))

    @rx.event
    async def suggest(self, content: str) -> Any:
        return await self._send(content)

    @rx.event
    async def stop(self) -> None:
        transcript = await self.get_state(Transcript)
        if transcript.running:
            await get_service().turns.stop(transcript.running)

    async def _send(self, content: str) -> Any:
        transcript = await self.get_state(Transcript)
        settings = await self.get_state(ChatSettings)
        try:
            turn = await get_service().turns.start(
                content, transcript.open_chat or None, settings=settings.of_new_chat()
            )
        except ChatError as error:
            return [_restore(content), rx.toast.error(error.message)]
        if not transcript.open_chat:
            transcript.open_chat = turn.chat_id
            settings.began()
            (await self.get_state(Live)).follow_from(turn.chat_id)
            return rx.redirect(f"/c/{turn.chat_id}")
        return None


def _restore(content: str) -> EventSpec:
    event = f'new CustomEvent("chat:restore-draft", {{detail: {json.dumps(content)}}})'
    return rx.call_script(f"window.dispatchEvent({event})")


def composer() -> rx.Component:
    return rx.el.form(
        MessageBox.create(
            name="message",
            aria_label="Message",
            placeholder="Ask anything",
            busy=Transcript.running != "",
        ),
        rx.el.div(
            model_button(),
            rx.cond(Transcript.running != "", stop_button(), send_button()),
            class_name="box-foot",
        ),
        on_submit=Composer.send,
        reset_on_submit=True,
        class_name="box",
    )


def send_button() -> rx.Component:
    return rx.el.button(
        icon("arrow-up"),
        type="submit",
        aria_label="Send message",
        aria_keyshortcuts="Enter",
        class_name="round send",
        key="send",
    )


def stop_button() -> rx.Component:
    return rx.el.button(
        icon("square"),
        type="button",
        aria_label="Stop generating",
        class_name="round stop",
        on_click=Composer.stop,
        custom_attrs={"data-key": "stop", "aria-keyshortcuts": "Escape"},
        key="stop",
    )


def model_button() -> rx.Component:
    """What answers and how; it opens the settings of the chat, also of one that is only about to begin."""
    own = ChatSettings.own
    return rx.el.button(
        rx.el.span(
            rx.el.span(rx.cond(own["model"], own["model"], Composer.model), class_name="model-name"),
            rx.cond(own["system_prompt"], rx.el.span(" · own prompt")),
            rx.cond(own["temperature"], rx.el.span(" · temperature " + own["temperature"])),
            class_name="model-text",
        ),
        icon("sliders-horizontal"),
        rx.el.span("Settings of this chat", class_name="visually-hidden"),
        type="button",
        class_name="model",
        on_click=ChatSettings.open,
    )


def notice() -> rx.Component:
    """The one quiet line below the box."""
    return rx.el.p(
        connection_chip(),
        rx.cond(
            Composer.embedded,
            "A small model on this machine answers: private, quick, and often wrong. "
            "Set OPENAI_API_KEY or OPENAI_BASE_URL for a better one.",
            "Answers may be wrong. Check what matters.",
        ),
        class_name="notice",
    )
