"""A quiet question under a person's tenth answer, asked once, where SURVEY is on: how fast do answers feel?

When it is asked is decided in `survey.jsx`.
"""

from typing import Any

import reflex as rx

from chat_app.measures import Survey as Answer
from chat_app.models import MAX_REMARK_CHARS
from chat_app.ui.elements import SurveyLine
from chat_app.ui.icons import icon
from chat_app.ui.insight_tables import FEELS
from chat_app.ui.own import own_here
from chat_app.ui.problems import complaint
from chat_app.ui.session import Session

# For good.
CLOSE = rx.call_script('window.dispatchEvent(new Event("chat:survey-closed"))')
# Reflex's form hears no keys. Esc is no stop of an answer here.
ESCAPE: rx.Var[Any] = rx.Var(
    "((event) => { if (event.key === 'Escape') { event.stopPropagation();"
    " event.currentTarget.querySelector('[data-close]').click(); } })"
)


class Survey(rx.State):
    feel: int = 0

    @rx.event
    def choose(self, feel: int) -> None:
        self.feel = feel

    @rx.event
    async def send(self, form: dict[str, Any]) -> Any:
        if not self.feel:
            return None
        session = (await self.get_state(Session)).key
        remark = str(form.get("remark", ""))[:MAX_REMARK_CHARS]
        try:
            answer = Answer(session=session, feel=self.feel, remark=remark)
            await own_here().answer_survey(answer, f"page {session}")
        except Exception as error:
            return complaint(error)
        return [CLOSE, rx.toast("Thank you.")]


def survey() -> rx.Component:
    return SurveyLine.create(
        rx.el.form(
            rx.el.p("How fast do answers feel?", id="survey"),
            rx.el.div(
                *[step(feel, name) for feel, name in enumerate(FEELS, 1)], role="group", aria_labelledby="survey"
            ),
            rx.el.button(
                icon("x"),
                type="button",
                aria_label="Do not ask again",
                class_name="tool",
                on_click=CLOSE,
                custom_attrs={"data-close": ""},
            ),
            rx.cond(
                Survey.feel > 0,
                rx.fragment(
                    rx.el.input(
                        name="remark",
                        aria_label="Remark",
                        placeholder="Anything to add? (optional)",
                        max_length=MAX_REMARK_CHARS,
                        class_name="field",
                    ),
                    rx.el.button("Send", type="submit", class_name="button"),
                ),
            ),
            on_submit=Survey.send,
            custom_attrs={"onKeyDown": ESCAPE},
            class_name="survey",
        ),
        on=Session.surveyed,
    )


def step(feel: int, name: str) -> rx.Component:
    return rx.el.button(
        name,
        type="button",
        class_name="range",
        aria_pressed=Survey.feel == feel,
        on_click=Survey.choose(feel),
    )
