"""Steps, one of them within another, sources, and what may be asked next. No model at all.

REPLIES=tests.examples.researcher:reply
"""

from collections.abc import AsyncIterator

from rill import Reasoning, Source, Step, Suggestions

PAGES = {"https://example.org/rain": "Why it rains", "https://example.org/clouds?a=1": "All about clouds"}


async def reply(messages: list[dict[str, str]]) -> AsyncIterator[object]:
    yield Reasoning("They ask about the weather. ")
    search = Step("Searching the web", input=messages[-1]["content"])
    yield search
    for url, title in PAGES.items():
        page = Step(f"Reading “{title}”", input=url, parent=search)
        yield page
        yield page.done(output={"words": len(title.split())})
    yield search.done(output=f"{len(PAGES)} pages")
    yield "It rains because "
    for url, title in PAGES.items():
        yield Source(title, url, snippet="Clouds are made of drops.")
    yield "clouds are full."
    yield Suggestions("Why is the sky blue?", "What is snow?")
