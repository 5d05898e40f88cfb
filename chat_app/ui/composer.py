"""The message box at the foot of the page: send, and stop in the same place while an answer grows."""

import asyncio
import json
import time
from typing import Any

import reflex as rx
from reflex.event import EventSpec
from reflex_components_core.core.banner import has_connection_errors

from chat_app.brand import brand
from chat_app.errors import too_long
from chat_app.models import Queued
from chat_app.service import get_service
from chat_app.turns.turn import Turn
from chat_app.ui.changes import get_changes
from chat_app.ui.connection import connection_chip
from chat_app.ui.costs import gauge
from chat_app.ui.elements import Form, MessageBox, Outbox
from chat_app.ui.events import name_chat
from chat_app.ui.icons import icon
from chat_app.ui.live import Live
from chat_app.ui.own import own_here, tab_here
from chat_app.ui.problems import complaint, known
from chat_app.ui.queue import Line
from chat_app.ui.settings import ChatSettings
from chat_app.ui.transcript import Transcript, newest_rows, shown_chat
from chat_app.ui.turnstile import Turnstile

# How long until a provider that could not be asked for its model is asked again.
UNNAMED_S = 10.0
QUESTIONS = Turnstile()


class Composer(rx.State):
    model: str = ""
    embedded: bool = False
    # The longest message, in characters, and the server's sentence for a longer one, with {} for its length.
    limit: int = 0
    too_long: str = ""

    @rx.event(background=True, supersedes=True)
    async def load(self) -> Any:
        service = get_service()
        limit = service.settings.max_message_chars
        async with self:
            self.limit, self.too_long = limit, too_long("{}", limit).message
            self.embedded = service.local_model is not None
        # Outside the state's lock: a provider that does not answer must not hold the page up.
        model = await service.model_name()
        async with self:
            self.model = model
        if not model:
            await asyncio.sleep(UNNAMED_S)
            return Composer.load
        return None

    @rx.event
    async def send(self, form: dict[str, Any]) -> Any:
        """Start a turn, or let the message wait for the one that runs; `Live.watch` and `Line.watch` show them. The
        page's outbox hears whether its message was taken.

        `form` has the `message`, and from the outbox its `key`, the `chat_id` that it was sent from ("" for a
        new one), and the question that it is a new version of, `edit_of`.
        """
        came = time.monotonic()
        async with QUESTIONS.passed():
            return await self._send(form, came)

    async def _send(self, form: dict[str, Any], came: float) -> Any:
        key = form.get("key")
        transcript = await self.get_state(Transcript)
        chat_id = form.get("chat_id", transcript.open_chat)
        try:
            turn = await self._start(str(form.get("message", "")), chat_id or None, key, form.get("edit_of") or None)
        except Exception as error:
            return refused(key, error) if key else complaint(error)
        if isinstance(turn, Queued):
            await (await self.get_state(Line)).look(turn.chat_id)
            return answered(turn.key, chat_id=turn.chat_id, waits=True)
        # Unless the reader went on to another chat meanwhile.
        opens = not chat_id and not shown_chat(self.router.url.path)
        events: list[Any] = []
        if opens:
            events.append(await self._open(turn))
        else:
            await (await self.get_state(Live)).asked(turn)
        if key:
            events.append(answered(key, chat_id=turn.chat_id, took_ms=round((time.monotonic() - came) * 1000, 1)))
        elif opens:
            events.append(rx.redirect(f"/c/{turn.chat_id}"))
        return events

    @rx.event
    async def stop(self) -> None:
        transcript = await self.get_state(Transcript)
        if transcript.running:
            await own_here().turns.stop(transcript.running)

    async def _start(self, content: str, chat_id: str | None, key: str | None, edit_of: str | None) -> Turn | Queued:
        settings = (await self.get_state(ChatSettings)).of_new_chat()
        return await own_here().queue.ask(content, chat_id, key=key, edit_of=edit_of, settings=settings)

    async def _open(self, turn: Turn) -> Any:
        """The new chat takes the place of the empty page, and its first message that of the one in the outbox."""
        transcript = await self.get_state(Transcript)
        transcript.open_chat = turn.chat_id
        await transcript.begin(turn)
        (await self.get_state(ChatSettings)).began()
        (await self.get_state(Live)).begin(turn.chat_id)
        tab = tab_here()
        # Unless "New chat" ended what was still loading the page.
        if self.model and get_changes().follows(tab):
            name_chat(tab, turn.chat_id)
        return Line.watch


def answered(key: str, **answer: Any) -> EventSpec:
    """Tell the outbox what became of its message: `chat_id` where it was taken, after `took_ms`, and whether it `waits`
    there for an answer to end; else the `problem`."""
    detail = json.dumps({"key": key, **answer})
    return rx.call_script(f'window.dispatchEvent(new CustomEvent("chat:answered", {{detail: {detail}}}))')


def refused(key: str, error: Exception) -> EventSpec:
    problem = known(error)
    return answered(key, problem=problem.as_dict() | {"message": problem.told})


# Whether a message that is sent now is heard.
CONNECTED = rx.State.is_hydrated & ~has_connection_errors


def outbox() -> rx.Component:
    """What was sent from this chat and is not with the server yet; it is shown after the chat's messages."""
    return Outbox.create(
        chat_id=Transcript.open_chat,
        rows=newest_rows(),
        waiting=Line.questions,
        connected=CONNECTED,
        limit=Composer.limit,
        too_long=Composer.too_long,
        on_send=Composer.send,
    )


def composer() -> rx.Component:
    return Form.create(
        MessageBox.create(
            name="message",
            aria_label="Message",
            placeholder="Ask anything",
            limit=Composer.limit,
            too_long=Composer.too_long,
        ),
        rx.el.div(
            model_button(),
            gauge(),
            rx.cond(
                Transcript.running != "",
                rx.el.span(queue_button(), stop_button(), class_name="sends"),
                send_button(),
            ),
            class_name="box-foot",
        ),
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


def queue_button() -> rx.Component:
    """Beside the button that stops, once there is something to send: not everybody has an Enter key for that."""
    return rx.el.button(
        icon("arrow-up"),
        type="submit",
        aria_label="Send after this answer",
        aria_keyshortcuts="Enter",
        class_name="round send later",
        key="later",
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
        note(),
        class_name="notice",
    )


def note() -> Any:
    """Whoever runs it may have something better to say."""
    return brand().footer or rx.cond(
        Composer.embedded,
        "A small model on this machine answers: private, quick, and often wrong. "
        "Set OPENAI_API_KEY or OPENAI_BASE_URL for a better one.",
        "Answers may be wrong. Check what matters.",
    )
