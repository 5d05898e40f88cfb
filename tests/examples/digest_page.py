"""A page at /digest: its state asks for a summary of a text, and shows the answer while it grows.

PAGES=tests.examples.digest_page:add
"""

import reflex as rx

from rill.pages import Fonts, Said, follow, start, transcript


class Digest(rx.State):
    said: list[Said] = []
    growing: bool = False

    @rx.event(background=True)
    async def ask(self, form: dict[str, str]) -> None:
        turn = await start(f"Summarise in a sentence: {form['text']}")
        async with self:
            self.said = [Said(role="user", content=form["text"]), Said(role="assistant", content="")]
            self.growing = True
        async for text in follow(turn):
            async with self:
                self.said[-1]["content"] += text
        async with self:
            self.growing = False


def digest_page() -> rx.Component:
    field = rx.el.textarea(name="text", aria_label="Text", required=True, rows=6, class_name="field")
    return rx.el.main(
        Fonts.create(),
        rx.el.h1("Digest", class_name="brand"),
        rx.el.form(field, rx.el.button("Summarise", type="submit", class_name="button"), on_submit=Digest.ask),
        transcript(Digest.said, growing=Digest.growing),
        class_name="mx-auto max-w-3xl p-8 flex flex-col gap-4",
    )


def add(app: rx.App) -> None:
    app.add_page(digest_page, route="/digest", title="Digest")
