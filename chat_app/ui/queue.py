"""The questions that wait in the open chat until its answer has ended, in every tab that shows it."""

import json
from typing import Any, TypedDict

import reflex as rx
from reflex.event import EventSpec

from chat_app.errors import NotFound
from chat_app.models import Queued
from chat_app.ui import elements
from chat_app.ui.own import own_here
from chat_app.ui.problems import complaint, until_read
from chat_app.ui.transcript import Transcript, newest_rows


class Question(TypedDict):
    """`problem` is a sentence where it could not be asked when it was its turn."""

    id: str
    key: str
    content: str
    problem: str


class Line(rx.State):
    """`held`: it goes on only when somebody says so."""

    questions: list[Question] = []
    held: bool = False
    _chat: str = ""

    @rx.event(background=True, supersedes=True)
    async def watch(self) -> None:
        """Keep it as it is on the server, for as long as the tab shows the chat."""
        async with self:
            chat_id = (await self.get_state(Transcript)).open_chat
        if not chat_id:
            return
        with own_here().queue.bell(chat_id) as bell:
            while True:
                bell.clear()
                line = await until_read(lambda: own_here().queue.line(chat_id), self._wait, "what waits in a chat")
                if line.questions or self.questions:
                    async with self:
                        await self.look(chat_id)
                await bell.wait()

    async def _wait(self) -> None:
        """That the database is away, the page says elsewhere."""

    async def look(self, chat_id: str) -> None:
        """Show what waits in the chat, if the page shows that."""
        if (await self.get_state(Transcript)).open_chat != chat_id:
            return
        line = await own_here().queue.line(chat_id)
        shown = [_question(one) for one in line.questions]
        self._chat = chat_id
        # What is set is sent, also where it is as it was.
        if self.questions != shown:
            self.questions = shown
        if self.held != line.held:
            self.held = line.held

    def leave(self, chat_id: str) -> None:
        """The page shows this chat from now on."""
        if self._chat != chat_id and self.questions:
            self.questions, self.held = [], False

    def began(self, key: str) -> None:
        """The question with this key is in the transcript."""
        if any(question["key"] == key for question in self.questions):
            self.questions = [question for question in self.questions if question["key"] != key]

    @rx.event
    async def change(self, question_id: str, content: str) -> Any:
        chat_id = (await self.get_state(Transcript)).open_chat
        try:
            await own_here().queue.change(chat_id, question_id, content)
        except NotFound as error:
            return [complaint(error), given_back(content)]
        except Exception as error:
            return [complaint(error), opened_again(question_id, content)]
        return await self.look(chat_id)

    @rx.event
    async def remove(self, question_id: str) -> Any:
        chat_id = (await self.get_state(Transcript)).open_chat
        try:
            await own_here().queue.remove(chat_id, question_id)
        except Exception as error:
            return complaint(error)
        return await self.look(chat_id)

    @rx.event
    async def send_now(self, question_id: str) -> Any:
        try:
            await own_here().queue.send_now((await self.get_state(Transcript)).open_chat, question_id)
        except Exception as error:
            return complaint(error)
        return None


def _question(queued: Queued) -> Question:
    problem = (queued.error or {}).get("message", "")
    return Question(id=queued.id, key=queued.key, content=queued.content, problem=problem)


def given_back(content: str) -> EventSpec:
    """Into the message box."""
    return rx.call_script(
        f"window.dispatchEvent(new CustomEvent('chat:restore-draft', {{detail: {_literal(content)}}}))"
    )


def opened_again(question_id: str, content: str) -> EventSpec:
    """Into the question's form."""
    detail = _literal({"id": question_id, "content": content})
    return rx.call_script(f"window.dispatchEvent(new CustomEvent('chat:not-changed', {{detail: {detail}}}))")


def _literal(value: Any) -> str:
    return json.dumps(value)


def waiting() -> rx.Component:
    return elements.Line.create(
        chat_id=Transcript.open_chat,
        questions=Line.questions,
        held=Line.held,
        rows=newest_rows(),
        on_change=Line.change,
        on_remove=Line.remove,
        on_send=Line.send_now,
    )
