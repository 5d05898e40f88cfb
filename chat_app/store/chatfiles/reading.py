"""A file of chats, whatever app it is from and whether it is zipped, as rows for the database, a batch at a time."""

import io
import json
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from chat_app.errors import InvalidRequest
from chat_app.models import now
from chat_app.store import chatfile
from chat_app.store.chatfile import Row
from chat_app.store.chatfiles import chatgpt, open_webui
from chat_app.store.chatfiles.branches import ReadChat
from chat_app.store.chatfiles.elements import Elements

BATCH_MESSAGES = 200
BATCH_CHARS = 500_000
MAX_UNPACKED_BYTES = 2_000_000_000
# Text packs to a fifth or a tenth; what packs to a hundredth of so much is no export.
BOMB_BYTES, BOMB_RATIO = 100_000_000, 100
# Beyond that the file is something else.
MAX_SKIPPED = 10_000
EMPTY, UNREADABLE = "empty chats", "unreadable chats"
KINDS = "Choose an export of this app, ChatGPT's conversations.json or its zip, or Open WebUI's export."
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError)
"""What reading a damaged, an encrypted or an oddly packed zip raises."""
CONVERSATIONS = re.compile(r"conversations?[-_ (]*\d*\)?\.json", re.IGNORECASE)
OTHER_APPS = (chatgpt, open_webui)


def counted(count: int, kind: str) -> str:
    """`1 picture`, `2 pictures`."""
    return f"{count:,} {kind.removesuffix('s') if count == 1 else kind}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to write: chats, and messages of these or the last chat before, each after its parent.

    `read` of `size` bytes of the file have been read by now.
    """

    chats: list[Row]
    messages: list[Row]
    left_out: Counter[str]
    read: int = 0
    size: int = 0


@dataclass(slots=True)
class Imported:
    """What batches have brought so far."""

    chat_ids: list[str] = field(default_factory=list)
    messages: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    read: int = 0
    size: int = 0

    def add(self, batch: Batch) -> None:
        self.chat_ids += [chat["id"] for chat in batch.chats]
        self.messages += len(batch.messages)
        self.left_out += batch.left_out
        self.read, self.size = batch.read, batch.size

    @property
    def sentence(self) -> str:
        """`2 chats with 9 messages. Left out: 1 picture, 3 tool messages.`"""
        left_out = ", ".join(counted(count, kind) for kind, count in self.left_out.items())
        came = f"{counted(len(self.chat_ids), 'chats')} with {counted(self.messages, 'messages')}."
        return f"{came} Left out: {left_out}." if left_out else came


@dataclass(slots=True)
class Progress:
    """How far the JSON of an upload is read, in bytes."""

    size: int = 0
    done: int = 0
    now: IO[bytes] | None = None
    """The file that is read; those before it are `done`."""

    @property
    def read(self) -> int:
        return self.done + (self.now.tell() if self.now else 0)


@dataclass(slots=True)
class Filling:
    """A batch that is not full yet."""

    chats: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    chars: int = 0

    def add(self, read: ReadChat, progress: Progress) -> Iterator[Batch]:
        """The batches that become full with it."""
        self.left_out.update(+read.left_out)
        if read.chat is not None:
            self.chats.append(read.chat.model_dump())
        for message in read.messages:
            self.messages.append(message)
            self.chars += len(message["content"]) + len(message["reasoning"])
            if len(self.messages) >= BATCH_MESSAGES or self.chars >= BATCH_CHARS:
                yield self.emptied(progress)
        if len(self.chats) >= BATCH_MESSAGES:
            yield self.emptied(progress)

    def emptied(self, progress: Progress) -> Batch:
        batch = Batch(self.chats, self.messages, self.left_out, progress.read, progress.size)
        self.chats, self.messages, self.left_out, self.chars = [], [], Counter(), 0
        return batch


def batches(path: Path) -> Iterator[Batch]:
    """Raises InvalidRequest, with a sentence, if there is no chat in it or it is damaged."""
    filling, progress, chats, skipped = Filling(), Progress(), 0, 0
    for read in _read(path, progress):
        chats, skipped = (chats, skipped + 1) if read.chat is None else (chats + 1, skipped)
        if skipped > MAX_SKIPPED:
            raise InvalidRequest(f"This is no file of chats. {KINDS}")
        yield from filling.add(read, progress)
    if not chats:
        raise InvalidRequest(f"The file holds no chats. {KINDS}")
    yield filling.emptied(progress)


def _read(path: Path, progress: Progress) -> Iterator[ReadChat]:
    with path.open("rb") as file:
        if file.read(4) in ZIP_MAGIC:
            yield from _unzipped(file, progress)
        else:
            progress.size = path.stat().st_size
            yield from _chats(file, progress)


def _unzipped(file: IO[bytes], progress: Progress) -> Iterator[ReadChat]:
    """Nothing is written to disk, so that no name in it can do harm."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive)
            progress.size = sum(member.file_size for member in members)
            for member in members:
                with archive.open(member) as unpacked:
                    yield from _chats(unpacked, progress)
    except BROKEN as why:
        raise InvalidRequest(f"The zip cannot be read ({why}). Download it again, or unpack it first.") from None


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files with chats; of a zip that has none by that name, all of JSON."""
    named = [(PurePosixPath(member.filename.replace("\\", "/")).name, member) for member in archive.infolist()]
    members = [member for name, member in named if CONVERSATIONS.fullmatch(name)]
    members = members or [member for name, member in named if name.endswith(".json") and not name.startswith("._")]
    if not members:
        raise InvalidRequest(f"There is no conversations.json in the zip. {KINDS}")
    unpacked, packed = sum(member.file_size for member in members), sum(member.compress_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES or (unpacked > BOMB_BYTES and unpacked > packed * BOMB_RATIO):
        raise InvalidRequest(f"The zip holds {unpacked:,} bytes of chats, more than is read. Unpack it and split them.")
    return sorted(members, key=lambda member: member.filename)


def _chats(file: IO[bytes], progress: Progress) -> Iterator[ReadChat]:
    file.seek(0)
    encoding = json.detect_encoding(file.read(4))
    file.seek(0)
    progress.now = file
    # Any line feed is part of a text.
    text = io.TextIOWrapper(file, encoding, newline="")
    elements = Elements(text)
    try:
        for number, (value, own) in enumerate(elements, 1):
            yield _chat(value, own, number if elements.many else None)
        progress.done, progress.now = progress.read, None
    finally:
        # Or it would close the file with itself.
        text.detach()


def _chat(value: Any, text: str, number: int | None) -> ReadChat:
    """`number` is its place in a file of many."""
    ours = isinstance(value, dict) and "version" in value
    for app in OTHER_APPS:
        if not ours and app.is_chat(value):
            read = app.read(value)
            return read if read.messages else ReadChat(None, [], Counter({EMPTY: 1}))
    if number and not ours:
        return ReadChat(None, [], Counter({UNREADABLE: 1}))
    return _own_chat(text, number)


def _own_chat(text: str, number: int | None) -> ReadChat:
    """One that comes alone counts as used just now."""
    try:
        chat, messages = chatfile.imported(text)
    except InvalidRequest as error:
        where = f"Chat {number} of the file: " if number else ""
        raise InvalidRequest(f"{where}{error.message}") from None
    if number is None:
        chat.updated_at = now()
    return ReadChat(chat, messages)
