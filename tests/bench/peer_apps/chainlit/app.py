"""Chainlit as its documentation streams an answer of OpenAI's."""

import os

import chainlit as cl
from openai import AsyncOpenAI

client = AsyncOpenAI()


@cl.on_message
async def answer(message: cl.Message) -> None:
    reply = cl.Message(content="")
    question = [{"role": "user", "content": message.content}]
    stream = await client.chat.completions.create(model=os.environ["OPENAI_MODEL"], messages=question, stream=True)
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            await reply.stream_token(text)
    await reply.update()
