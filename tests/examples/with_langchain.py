"""A chat of the app's as a model of LangChain's: `python -m tests.examples.with_langchain ADDRESS KEY QUESTION …`.

It prints a line of JSON for each question, asked whole, streamed, with a tool, and in a chat that is kept.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def in_stock(size: int) -> int:
    """How many pairs there are of a size."""
    return 3


def answers(model: Any, whole: str, streamed: str, with_tool: str, kept: str) -> Iterator[Any]:
    yield model.invoke(whole).content
    yield [chunk.content for chunk in model.stream(streamed) if chunk.content]
    yield model.bind_tools([in_stock]).invoke(with_tool).tool_calls[0]["args"]
    first = model.bind(extra_body={"store": True}).invoke([HumanMessage(kept)])
    yield first.content


def main(address: str, key: str, *questions: str) -> None:
    model = ChatOpenAI(base_url=f"{address}/v1", api_key=key, model="bench", max_retries=0)
    for answer in answers(model, *questions):
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
