"""Full-text search over messages and chat titles, in the database's own index (SQLite's FTS5, PostgreSQL's GIN).

All words must occur, the last one may be the beginning of a word; case and accents do not matter. The index has the
words of scripts with case (Latin, Greek, Cyrillic, …). Of other scripts most have no word breaks (Japanese, Chinese,
Thai, …) or glue particles to their words (Korean, Arabic, Hebrew): their words, and symbols, are looked for anywhere in
the text, with LIKE. The index itself is made and kept by migration 0002.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, literal_column, text
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from chat_app.models import Chat, Message, Status

MAX_QUERY_CHARS = 500
MAX_WORDS = 20
BEFORE_CHARS = 60
SNIPPET_CHARS = 200

Snippet = list[tuple[str, bool]]
"""A text in parts, each with whether it matches."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chat whose title matches (then `message_id` and `role` are None), or a message."""

    chat_id: str
    title: str
    message_id: str | None
    role: str | None
    snippet: Snippet
    when: datetime


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: words of the index, the last of all perhaps only begun, and text that is in no index."""

    words: tuple[str, ...]
    prefix: bool
    """Whether the last one may be the beginning of a word."""
    texts: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.words or self.texts)


# The letters of scripts with case and the digits, as in migration 0002.
_WORD = re.compile("[0-9A-Za-z\u00c0-\u024f\u0370-\u058f\u1e00-\u1fff]+")
# NUL and half a surrogate pair are no text; no database takes them.
_PARTS = re.compile("[^\\s\0\ud800-\udfff]+")

SQLITE_MATCHES = (
    "{table}.id IN (SELECT {table}_id FROM {table}_fts_id WHERE id IN"
    " (SELECT rowid FROM {table}_fts WHERE {table}_fts MATCH :match))"
)
POSTGRESQL_MATCHES = "search_words({table}.{column}) @@ to_tsquery('simple', :match)"


def parse(query: str) -> Query:
    """Never fails: whatever is no word is either looked for as it is, or nothing."""
    parts = _PARTS.findall(unicodedata.normalize("NFC", query[:MAX_QUERY_CHARS]))[:MAX_WORDS]
    return Query(
        words=tuple(part for part in parts if _is_indexed(part)),
        prefix=bool(parts) and _is_indexed(parts[-1]),
        texts=tuple(part for part in parts if not _is_indexed(part)),
    )


async def search(session: AsyncSession, owner: str, query: Query, limit: int) -> list[Hit]:
    """Of one owner's: chats by title first, then messages, each the newest first."""
    if not query or limit < 1:
        return []
    sqlite = session.get_bind().dialect.name == "sqlite"
    # Not by the index of owners: the words are rarer.
    own = func.coalesce(col(Chat.owner), "") == owner
    in_title = [own, *_conditions(query, "chat", "title", sqlite)]
    chats = await session.exec(
        select(Chat)
        .where(col(Chat.deleted_at).is_(None), *in_title)
        .order_by(col(Chat.updated_at).desc(), col(Chat.id).desc())
        .limit(limit)
    )
    hits = [Hit(chat.id, chat.title, None, None, snippet(chat.title, query), chat.updated_at) for chat in chats]
    if len(hits) < limit:
        hits += await _messages(
            session, [own, *_conditions(query, "message", "content", sqlite)], query, limit - len(hits)
        )
    return hits


async def _messages(session: AsyncSession, conditions: Sequence[Any], query: Query, limit: int) -> list[Hit]:
    newest = col(Message.created_at).desc(), col(Message.id).desc()
    # The texts are read for the few that are shown, not for all that are sorted.
    found = (
        select(Message.id)
        .join(Chat)
        .where(col(Chat.deleted_at).is_(None), col(Message.status) != Status.streaming, *conditions)
        .order_by(*newest)
        .limit(limit)
    )
    rows = await session.exec(
        select(Message, Chat.title).join(Chat).where(col(Message.id).in_(found)).order_by(*newest)
    )
    return [
        Hit(message.chat_id, title, message.id, message.role, snippet(message.content, query), message.created_at)
        for message, title in rows
    ]


def _conditions(query: Query, table: str, column: str, sqlite: bool) -> list[Any]:
    conditions: list[Any] = [_contains(literal_column(f"{table}.{column}"), part, sqlite) for part in query.texts]
    if query.words:
        match = _sqlite_match(query) if sqlite else _postgresql_match(query)
        statement = SQLITE_MATCHES if sqlite else POSTGRESQL_MATCHES
        conditions.append(text(statement.format(table=table, column=column)).bindparams(match=match))
    return conditions


def _sqlite_match(query: Query) -> str:
    """`"foo-bar" AND "ba"*`: in quotes there is no syntax; what falls into several words is a phrase."""
    quoted = ('"' + word.replace('"', '""') + '"' for word in query.words)
    return " AND ".join(quoted) + ("*" if query.prefix else "")


def _postgresql_match(query: Query) -> str:
    """`('foo' <-> 'bar') & ('ba':*)`."""
    phrases = [" <-> ".join(f"'{part}'" for part in _parts(word)) for word in query.words]
    if query.prefix:
        phrases[-1] += ":*"
    return " & ".join(f"({phrase})" for phrase in phrases)


def _parts(word: str) -> list[str]:
    """What a word falls into, without accents: `foo-bar` is two."""
    return _WORD.findall(_bare(word))


def _contains(column: ColumnElement[Any], part: str, sqlite: bool) -> ColumnElement[bool]:
    # SQLite's LIKE does not care for case, of ASCII letters; more would need a copy of every text.
    return column.contains(part, autoescape=True) if sqlite else column.icontains(part, autoescape=True)


def _is_indexed(part: str) -> bool:
    """Whether the index has all its letters and digits, and there are any."""
    rest = _WORD.sub("", _bare(part))
    return rest != _bare(part) and not any(char.isalnum() for char in rest)


def _bare(part: str) -> str:
    """Without accents."""
    return "".join(char for char in unicodedata.normalize("NFD", part) if not "\u0300" <= char <= "\u036f")


# Snippets


class _Folding(dict[int, str]):
    """For `str.translate`: each character without accent and case, always one for one, so that places stay."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        folded = _bare(char).lower()
        self[code] = folded if len(folded) == 1 else char
        return self[code]


_FOLDING = _Folding()


def _folded(body: str) -> str:
    return body.lower() if body.isascii() else body.translate(_FOLDING)


def snippet(body: str, query: Query) -> Snippet:
    """About `SNIPPET_CHARS` around the first match, on one line; without any, the beginning."""
    pattern = _pattern(query)
    first = pattern.search(_folded(body))
    start = _word_start(body, first.start() - BEFORE_CHARS) if first else 0
    end = start + SNIPPET_CHARS
    line = " ".join(body[start:end].split())
    line = ("…" if start else "") + line + ("…" if end < len(body) else "")
    return _marked(line, pattern)


def _word_start(body: str, near: int) -> int:
    """Not in the middle of a word, if one begins soon."""
    if near <= 0:
        return 0
    space = body.find(" ", near, near + BEFORE_CHARS // 2)
    return near if space < 0 else space + 1


def _marked(line: str, pattern: re.Pattern[str]) -> Snippet:
    parts: Snippet = []
    done = 0
    for match in pattern.finditer(_folded(line)):
        parts += [(line[done : match.start()], False), (line[match.start() : match.end()], True)]
        done = match.end()
    parts.append((line[done:], False))
    return [part for part in parts if part[0]]


def _pattern(query: Query) -> re.Pattern[str]:
    """What matches in a folded text."""
    letter = _WORD.pattern.removesuffix("+")
    between = _WORD.pattern.replace("[", "[^", 1)
    phrases = [between.join(_folded(part) for part in _parts(word)) for word in query.words]
    whole = [f"(?<!{letter}){phrase}(?!{letter})" for phrase in phrases]
    if query.prefix:
        whole[-1] = f"(?<!{letter}){phrases[-1]}"
    texts = [re.escape(_folded(part)) for part in query.texts]
    return re.compile("|".join([*texts, *whole]))
