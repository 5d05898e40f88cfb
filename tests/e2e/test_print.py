"""On paper: the whole conversation, black on white, and nothing of the page around it."""

import io

import pytest
from playwright.async_api import Page, expect
from pypdf import PdfReader

from tests.app import App
from tests.e2e.chat import ChatPage, fold, import_turns
from tests.e2e.embed import EmbedPage

pytestmark = pytest.mark.anyio

LONG_LINE = "value = [" + ", ".join(f"number_{n}" for n in range(60)) + "]"
ANSWER = f"See [the source](https://example.org/rill).\n\n```python\n{LONG_LINE}\n```\n"
TURNS = 60
# Of the letters, and whether they are on white.
COLOURS = """
(element) => {
  const white = ["rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"];
  return [getComputedStyle(element).color, white.includes(getComputedStyle(element).backgroundColor)];
}
"""


async def printed(page: Page) -> PdfReader:
    return PdfReader(io.BytesIO(await page.pdf()))


def text_of(pdf: PdfReader) -> str:
    return fold(" ".join(sheet.extract_text() for sheet in pdf.pages))


def links_of(pdf: PdfReader) -> set[str]:
    notes = [note.get_object() for sheet in pdf.pages for note in sheet.get("/Annots", [])]
    return {str(note["/A"]["/URI"]) for note in notes if "/URI" in note.get("/A", {})}


async def test_the_whole_conversation_black_on_white(page: Page, app: App) -> None:
    turns = [(f"Question number {n}?", f"Answer number {n}.") for n in range(TURNS)]
    chat_id = import_turns(app, [*turns, ("And code?", ANSWER)], "To print")
    await page.emulate_media(color_scheme="dark")
    await ChatPage(page, app).open(f"/c/{chat_id}")
    # Most of it is not loaded.
    await expect(page.get_by_role("article", name="You said").first).not_to_contain_text("Question number 0?")
    pdf = await printed(page)
    text = text_of(pdf)
    places = [text.index(words.split("]")[0]) for turn in turns for words in turn]
    assert places == sorted(places)
    # Code is broken into lines, not cut off.
    assert "number_59" in text
    assert links_of(pdf) == {"https://example.org/rill"}
    for words in ("New chat", "To print", "Ask anything", "Live", "Send", "Load earlier", "Answers may be wrong"):
        assert words not in text
    await page.emulate_media(media="print", color_scheme="dark")
    for selector in ("body", ".bubble", ".prose", ".prose code span"):
        assert await page.locator(selector).last.evaluate(COLOURS) == ["rgb(0, 0, 0)", True], selector
    await page.emulate_media(media="null", color_scheme="null")
    # And the page is as it was.
    await expect(page.locator(".printed")).to_be_empty()


async def test_what_cannot_be_fetched_is_said(page: Page, app: App) -> None:
    chat_id = import_turns(app, [(f"Question number {n}?", "Yes.") for n in range(TURNS)], "To print offline")
    await ChatPage(page, app).open(f"/c/{chat_id}")
    await page.context.set_offline(True)
    assert "earlier messages are not printed" in text_of(await printed(page))
    await page.context.set_offline(False)


@pytest.mark.thorough
async def test_embed_is_printed_too(page: Page, app: App) -> None:
    chat = await EmbedPage(page).open(app.url, theme="dark")
    for n in range(3):
        await chat.ask(text=f"Answer number {n}.\n\n" + "And so on. " * 300)
        await chat.ended()
    text = text_of(await printed(page))
    assert all(f"Answer number {n}." in text for n in range(3))
    assert "New chat" not in text
    assert "Live" not in text
