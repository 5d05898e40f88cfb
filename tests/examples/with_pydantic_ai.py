"""An agent of Pydantic AI with a tool, whose calls are steps.

REPLIES=tests.examples.with_pydantic_ai:reply OPENAI_API_KEY=sk-…
"""

import os
from collections.abc import AsyncIterator

from pydantic_ai import Agent, FunctionToolCallEvent, FunctionToolResultEvent, PartDeltaEvent, PartStartEvent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, TextPartDelta, UserPromptPart
from pydantic_ai.models.openai import OpenAIChatModel

from rill import Step

agent = Agent(OpenAIChatModel(os.environ.get("OPENAI_MODEL") or "gpt-4o-mini"), instructions="You sell shoes.")


@agent.tool_plain
def in_stock(size: int) -> int:
    """How many pairs of a size there are."""
    return 3 if size < 45 else 0


def past(said: dict[str, str]) -> ModelMessage:
    text = said["content"]
    return ModelRequest([UserPromptPart(text)]) if said["role"] == "user" else ModelResponse([TextPart(text)])


async def reply(messages: list[dict[str, str]]) -> AsyncIterator[object]:
    *before, question = [message for message in messages if message["role"] != "system"]
    steps: dict[str, Step] = {}
    async with agent.run_stream_events(question["content"], message_history=[*map(past, before)]) as events:
        async for event in events:
            if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                yield event.part.content
            elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                yield event.delta.content_delta
            elif isinstance(event, FunctionToolCallEvent):
                step = steps[event.part.tool_call_id] = Step(event.part.tool_name, input=event.part.args)
                yield step
            elif isinstance(event, FunctionToolResultEvent):
                yield steps[event.part.tool_call_id].done(output=str(event.part.content))
