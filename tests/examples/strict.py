"""An agent, hooks and a test of them, as code that `mypy --strict` finds nothing in: what `rill` has, has types.

`make lint` checks it so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from rill import (
    ChatError,
    Context,
    Delta,
    Ended,
    Piece,
    Question,
    Reasoning,
    Refused,
    Service,
    Settings,
    Source,
    Step,
    Suggestions,
    Turn,
    get_service,
    serving,
)
from rill.testing import Provider, script


async def reply(
    messages: list[dict[str, str]], context: Context
) -> AsyncIterator[Piece | Step | Source | Suggestions | Reasoning]:
    count = context.values["asked"] = context.values.get("asked", 0) + 1
    step = Step("Counting", input=messages[-1]["content"])
    yield step
    yield step.done(output=f"This is number {count}.")
    yield Reasoning("Hm.")
    service = get_service()
    if service.settings.provider_url:
        async with aclosing(service.openai.reply(messages)) as pieces:
            async for piece in pieces:
                yield piece
    yield Source("Handbook", "https://example.org/handbook")
    yield Suggestions("And now?")


def moderate(question: Question) -> str | None:
    if "weapon" in question.content:
        raise Refused("We don't talk about weapons here.")
    return question.content.strip()


def ended(turn: Turn, end: Ended) -> None:
    print(turn.id, end.status, end.finish_reason)


def setup(service: Service) -> None:
    service.turns.on_question(moderate)
    service.turns.on_end(ended)


def wrong() -> Settings:
    """What is wrong is found: to ignore it would be an error if it were not."""
    return Settings(port="x")  # type: ignore[arg-type]


class TooMany(ChatError):
    code = "too_many"
    status = 429


async def answer(settings: Settings, question: str) -> str:
    async with serving(settings) as service:
        turn = await service.turns.start(question)
        text = "".join([event.text async for event in turn.events() if isinstance(event, Delta)])
        stored = await service.of(turn.caller).library.message(turn.id)
        assert stored is not None and stored.content == text
        return text


def test_it_answers(folder: Path) -> None:
    with Provider() as provider:
        model = provider.base_url
        settings = Settings(database_url=f"sqlite:///{folder}/chat.db", openai_base_url=model, openai_model="bench")
        assert asyncio.run(answer(settings, script(text="Hello"))) == "Hello"
