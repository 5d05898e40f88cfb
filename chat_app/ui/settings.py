"""The settings of the open chat: model, system prompt, temperature; and the theme of this browser."""

from typing import Any

import reflex as rx

from chat_app.errors import ChatError
from chat_app.service import get_service
from chat_app.ui.dialogs import close_dialog, dialog
from chat_app.ui.transcript import Transcript

DEFAULT_TEMPERATURE = 1.0


class ChatSettings(rx.State):
    models: list[str] = []
    model: str = ""
    system_prompt: str = ""
    temperature: str = ""
    problem: str = ""

    @rx.event
    async def load(self) -> None:
        """What the dialog shows when it opens."""
        service = get_service()
        transcript = await self.get_state(Transcript)
        self.problem = ""
        try:
            self.models = await service.openai.models()
        except ChatError as error:
            self.models, self.problem = [], error.message
        if transcript.open_chat:
            chat = await service.store.chat(transcript.open_chat)
            self.model = chat.model or ""
            self.system_prompt = chat.system_prompt or ""
            self.temperature = "" if chat.temperature is None else f"{chat.temperature:g}"

    @rx.event
    async def save(self, form: dict[str, Any]) -> Any:
        transcript = await self.get_state(Transcript)
        temperature = str(form.get("temperature", "")).strip()
        try:
            value = float(temperature) if temperature else None
        except ValueError:
            value = -1.0
        if value is not None and not 0 <= value <= 2:
            return rx.toast.error("The temperature is a number between 0 and 2; leave it empty for the model's own.")
        await get_service().set_chat(
            transcript.open_chat,
            model=form.get("model") or None,
            system_prompt=str(form.get("system_prompt", "")).strip() or None,
            temperature=value,
        )
        return [close_dialog("settings"), rx.toast("Saved. It counts from the next message on.")]


def settings_dialog() -> rx.Component:
    return dialog(
        "settings",
        "Settings of this chat",
        rx.el.form(
            field(
                "Model",
                rx.el.select(
                    rx.el.option("The app's default", value=""),
                    rx.foreach(ChatSettings.models, lambda model: rx.el.option(model, value=model)),
                    name="model",
                    default_value=ChatSettings.model,
                    class_name="field",
                    key=ChatSettings.model,
                ),
            ),
            field(
                "System prompt",
                rx.el.textarea(
                    name="system_prompt",
                    default_value=ChatSettings.system_prompt,
                    placeholder="The app's default",
                    rows=4,
                    class_name="field",
                    key=ChatSettings.system_prompt,
                ),
            ),
            field(
                "Temperature",
                rx.el.input(
                    name="temperature",
                    type="number",
                    min=0,
                    max=2,
                    step=0.1,
                    default_value=ChatSettings.temperature,
                    placeholder="The model's own",
                    class_name="field",
                    key=ChatSettings.temperature,
                ),
            ),
            rx.cond(ChatSettings.problem != "", rx.el.p(ChatSettings.problem, class_name="hint")),
            rx.el.button("Save", type="submit", class_name="button"),
            on_submit=ChatSettings.save,
            class_name="settings",
        ),
    )


def field(label: str, control: rx.Component) -> rx.Component:
    return rx.el.label(rx.el.span(label), control)
