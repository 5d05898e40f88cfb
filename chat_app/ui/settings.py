"""The settings of a chat: model, system prompt, temperature."""

import asyncio
from typing import Any, TypedDict

import reflex as rx

from chat_app.errors import ChatError, NotFound
from chat_app.models import MAX_SYSTEM_PROMPT_CHARS, Chat
from chat_app.service import get_service
from chat_app.ui.costs import said
from chat_app.ui.dialogs import close_dialog, dialog, open_dialog, saved
from chat_app.ui.elements import KeptForm
from chat_app.ui.own import own_here
from chat_app.ui.problems import complaint
from chat_app.ui.transcript import Transcript


class Own(TypedDict):
    """What a chat has of its own, as the form shows it; empty is the app's default."""

    model: str
    system_prompt: str
    temperature: str


# After how many seconds each the list of models is asked for again, while the dialog may be open.
MODELS_S = [2, 5, 10, 20, 30]
NOTHING = Own(model="", system_prompt="", temperature="")


class ChatSettings(rx.State):
    """Of the open chat; on the empty page, of the chat that its first message will begin."""

    own: Own = NOTHING
    models: list[str] = []
    problem: str = ""
    # What the open chat took so far.
    bill: str = ""
    # Another form each time the dialog opens: it shows what is set by now.
    opened: int = 0
    _new: Own = NOTHING

    @rx.event
    async def show(self) -> None:
        """What is set for the chat that the page shows."""
        chat_id = (await self.get_state(Transcript)).open_chat
        try:
            self.own = _shown(await own_here().library.chat(chat_id)) if chat_id else self._new
        except NotFound:
            self.own = NOTHING

    @rx.event
    async def open(self) -> Any:
        await self.show()
        chat_id = (await self.get_state(Transcript)).open_chat
        bill = await own_here().bill_of_chat(chat_id) if chat_id else None
        self.bill = f"So far {said(bill)}." if bill else ""
        self.opened += 1
        # Not before: the new form would take away what was typed into the old one.
        return [open_dialog("settings"), ChatSettings.list_models]

    @rx.event(background=True, supersedes=True)
    async def list_models(self) -> None:
        # Outside the state's lock: a provider that does not answer must not hold the page up. It is asked some times.
        for pause in MODELS_S:
            models, problem = [], ""
            try:
                models = await get_service().models()
            except ChatError:
                # What is wrong with the server's settings is in its log, and no matter of who chats.
                problem = "The list of models cannot be loaded just now."
            async with self:
                self.models, self.problem = models, problem
            if not problem:
                return
            await asyncio.sleep(pause)

    @rx.event
    async def save(self, form: dict[str, Any]) -> Any:
        chat_id = (await self.get_state(Transcript)).open_chat
        try:
            values = _values(form)
        except ValueError:
            return rx.toast.error("The temperature is a number between 0 and 2; leave it empty for the model's own.")
        if chat_id:
            try:
                self.own = _shown(await own_here().set_chat(chat_id, **values))
            except Exception as error:
                return complaint(error)
        else:
            self.own = self._new = _shown(Chat(title="", **values))
        count = "next" if chat_id else "first"
        return [
            saved("settings:" + chat_id),
            close_dialog("settings"),
            rx.toast(f"Saved. It counts from the {count} message on."),
        ]

    def of_new_chat(self) -> dict[str, Any]:
        """`store.set_chat`'s values."""
        return _values(self._new)

    def began(self) -> None:
        """The new chat has its settings now."""
        # As people know it from ChatGPT and Open WebUI: the model that they picked last for a new chat is that of the
        # next one too, as the box says; a system prompt and a temperature, which are easily forgotten, are not.
        self._new = Own(NOTHING | {"model": self._new["model"]})


def _shown(chat: Chat) -> Own:
    return Own(
        model=chat.model or "",
        system_prompt=chat.system_prompt or "",
        temperature="" if chat.temperature is None else f"{chat.temperature:g}",
    )


def _values(form: dict[str, Any] | Own) -> dict[str, Any]:
    """Raises ValueError: the temperature is none."""
    temperature = str(form.get("temperature", "")).strip()
    value = float(temperature) if temperature else None
    if value is not None and not 0 <= value <= 2:
        raise ValueError
    prompt = str(form.get("system_prompt", "")).strip()[:MAX_SYSTEM_PROMPT_CHARS]
    return {"model": str(form.get("model", "")) or None, "system_prompt": prompt or None, "temperature": value}


def settings_dialog() -> rx.Component:
    return dialog("settings", "Settings of this chat", settings_form(key=ChatSettings.opened))


def settings_form(key: rx.Var[int]) -> rx.Component:
    own = ChatSettings.own
    return KeptForm.create(
        field("Model", model_choice(own["model"])),
        field(
            "System prompt",
            rx.el.textarea(
                name="system_prompt",
                default_value=own["system_prompt"],
                placeholder="The app's default",
                max_length=MAX_SYSTEM_PROMPT_CHARS,
                rows=4,
                class_name="field",
            ),
        ),
        field(
            "Temperature",
            rx.el.input(
                name="temperature",
                type="number",
                min=0,
                max=2,
                step="any",
                default_value=own["temperature"],
                placeholder="The model's own",
                class_name="field",
            ),
        ),
        rx.cond(ChatSettings.bill != "", rx.el.p(ChatSettings.bill, class_name="hint")),
        rx.cond(ChatSettings.problem != "", rx.el.p(ChatSettings.problem, class_name="hint")),
        rx.el.button("Save", type="submit", class_name="button"),
        form="settings:" + Transcript.open_chat,
        on_submit=ChatSettings.save,
        class_name="settings",
        key=key,
    )


def model_choice(chosen: rx.Var[str]) -> rx.Component:
    return rx.el.select(
        rx.el.option("The app's default", value=""),
        # Also where the provider does not list it (any more): saving something else must not change it.
        rx.cond(chosen, rx.el.option(chosen, value=chosen)),
        rx.foreach(ChatSettings.models, lambda model: rx.cond(model == chosen, None, rx.el.option(model, value=model))),
        name="model",
        default_value=chosen,
        class_name="field",
    )


def field(label: str, control: rx.Component) -> rx.Component:
    return rx.el.label(rx.el.span(label), control)
