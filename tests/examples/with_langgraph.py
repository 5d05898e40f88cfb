"""A graph of LangGraph that remembers each chat by its id, and shows its first node as a step.

REPLIES=tests.examples.with_langgraph:reply OPENAI_API_KEY=sk-…
"""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from rill import Context, Step

model = ChatOpenAI(model=os.environ.get("OPENAI_MODEL") or "gpt-4o-mini")
NOTES = {"holidays": "Everybody has 30 days a year.", "coffee": "The machine is cleaned on Fridays."}


async def look_up(state: MessagesState) -> dict[str, Any]:
    question = state["messages"][-1].text.lower()
    notes = " ".join(note for word, note in NOTES.items() if word in question)
    return {"messages": [("system", f"Answer from these notes: {notes or 'none'}")]}


async def answer(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await model.ainvoke(state["messages"])]}


# What it remembers goes with the process; `langgraph-checkpoint-sqlite` keeps it.
graph = StateGraph(MessagesState).add_sequence([look_up, answer]).add_edge(START, "look_up").compile(InMemorySaver())


async def reply(messages: list[dict[str, str]], context: Context) -> AsyncIterator[object]:
    question = {"messages": [("user", messages[-1]["content"])]}
    thread = {"configurable": {"thread_id": context.chat_id}}
    step = Step("Looking into the notes")
    yield step
    # A stop ends what is closed at once; the rest would go on until the garbage collector comes.
    async with aclosing(graph.astream(question, thread, stream_mode=["updates", "messages"])) as events:
        async for mode, data in events:
            if mode == "messages" and data[1]["langgraph_node"] == "answer":
                yield data[0].text
            elif mode == "updates" and "look_up" in data:
                yield step.done(output=data["look_up"]["messages"][0][1])
