"""The shown path of a chat, read from the database a page at a time: what a page costs does not grow with the chat.

`tree` says what the path is, of messages in memory. The functions take a session; a chat and its messages are known to
be there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import CTE, bindparam, literal
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from chat_app.models import Chat, Message
from chat_app.store import tree
from chat_app.store.statements import UNLIMITED, joined
from chat_app.store.tree import PathItem


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the path, oldest message first, and whether there is more of it before and after."""

    items: list[PathItem]
    earlier: bool
    later: bool


def _above() -> CTE:
    """`limit` messages from `start` upwards, each with its depth, 1 for the first; not beyond `top`."""
    first = select(col(Message.id), col(Message.parent_id), literal(1).label("depth"))
    above = first.where(col(Message.id) == bindparam("start")).cte("above", recursive=True)
    more = select(col(Message.id), col(Message.parent_id), above.c.depth + 1)
    more = more.join(above, col(Message.id) == above.c.parent_id)
    return above.union_all(more.where(above.c.depth < bindparam("limit"), above.c.id != bindparam("top")))


def _below() -> CTE:
    """All that follows from `start`, and itself."""
    below = select(col(Message.id)).where(col(Message.id) == bindparam("start")).cte("below", recursive=True)
    return below.union_all(select(col(Message.id)).join(below, col(Message.parent_id) == below.c.id))


ABOVE = _above()
BELOW = _below()
MESSAGES_ABOVE = select(Message).join(ABOVE, col(Message.id) == ABOVE.c.id).order_by(ABOVE.c.depth.desc())
IDS_ABOVE = select(ABOVE.c.id).order_by(ABOVE.c.depth.desc()).limit(bindparam("nearest"))
ANSWER = aliased(Message)
ANSWERED = select(ANSWER.id).where(ANSWER.parent_id == Message.id).exists()
LEAF_BELOW = select(func.max(Message.id)).where(col(Message.id).in_(select(BELOW.c.id)), ~ANSWERED)


async def leaf(session: AsyncSession, chat: Chat) -> str | None:
    """What the shown path ends with; None in an empty chat."""
    if chat.leaf_id is not None and await parent(session, chat.id, chat.leaf_id) is not None:
        return chat.leaf_id
    newest = select(Message.id).where(Message.chat_id == chat.id, ~ANSWERED).order_by(col(Message.id).desc())
    return (await session.exec(newest.limit(1))).first()


async def leaf_below(session: AsyncSession, message_id: str) -> str | None:
    """The newest message that nothing answers, below a message or itself."""
    return (await session.exec(LEAF_BELOW, params={"start": message_id})).one()


async def parent(session: AsyncSession, chat_id: str, message_id: str) -> tuple[str | None] | None:
    """What a message of the chat follows, in a tuple; None where there is no such message."""
    if "\0" in message_id:
        return None
    query = select(Message.parent_id).where(Message.chat_id == chat_id, Message.id == message_id)
    found = (await session.exec(query)).all()
    return (found[0],) if found else None


async def upwards(session: AsyncSession, start: str | None, limit: int) -> Sequence[Message]:
    """At most so many messages up to `start`, oldest first."""
    found = await session.exec(MESSAGES_ABOVE, params={"start": start, "limit": limit, "top": ""})
    return await joined(session, found.all())


async def page(session: AsyncSession, chat_id: str, last_id: str | None, limit: int, later: bool) -> Page:
    """The page that ends with a message of the path."""
    messages = await upwards(session, last_id, limit)
    versions = tree.versions(await _siblings(session, chat_id, messages))
    items = [tree.item(message, versions[message.parent_id]) for message in messages]
    return Page(items, earlier=bool(messages) and messages[0].parent_id is not None, later=later)


async def following(session: AsyncSession, leaf_id: str | None, message_id: str, count: int) -> Sequence[str]:
    """The ids of a message and at most `count` that come after it on the path; none where it is not on the path."""
    params = {"start": leaf_id, "limit": UNLIMITED, "top": message_id, "nearest": count + 1}
    ids = (await session.exec(IDS_ABOVE, params=params)).all()
    return ids if message_id in ids[:1] else []


async def _siblings(
    session: AsyncSession, chat_id: str, messages: Sequence[Message]
) -> Sequence[tuple[str, str | None]]:
    """The ids of all versions of these messages, each with its parent's, oldest first."""
    query = select(Message.id, Message.parent_id).order_by(col(Message.id))
    parents = [message.parent_id for message in messages if message.parent_id is not None]
    found = (await session.exec(query.where(col(Message.parent_id).in_(parents)))).all() if parents else []
    if len(parents) < len(messages):
        # Not `IS NULL`: by its index, all first questions of all chats would be read.
        first = func.coalesce(col(Message.parent_id), "") == ""
        found = [*found, *(await session.exec(query.where(Message.chat_id == chat_id, first))).all()]
    return found
