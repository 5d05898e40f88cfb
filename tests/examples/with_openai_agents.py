"""An agent of the OpenAI Agents SDK with a tool, whose calls are steps.

REPLIES=tests.examples.with_openai_agents:reply OPENAI_API_KEY=sk-…
"""

import os
from collections.abc import AsyncIterator

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from rill import Step

set_tracing_disabled(True)  # or each answer is sent to OpenAI
model = OpenAIChatCompletionsModel(os.environ.get("OPENAI_MODEL") or "gpt-4o-mini", openai_client=AsyncOpenAI())


@function_tool
def in_stock(size: int) -> int:
    """How many pairs of a size there are."""
    return 3 if size < 45 else 0


agent = Agent(name="Clerk", instructions="You sell shoes.", tools=[in_stock], model=model)


async def reply(messages: list[dict[str, str]]) -> AsyncIterator[object]:
    run = Runner.run_streamed(agent, [message for message in messages if message["role"] != "system"])
    steps: dict[str, Step] = {}
    try:
        async for event in run.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                yield event.data.delta
            elif event.type == "run_item_stream_event" and event.name == "tool_called":
                call = event.item.raw_item
                steps[call.call_id] = Step(call.name, input=call.arguments)
                yield steps[call.call_id]
            elif event.type == "run_item_stream_event" and event.name == "tool_output":
                yield steps[event.item.raw_item["call_id"]].done(output=str(event.item.output))
    finally:
        run.cancel()
