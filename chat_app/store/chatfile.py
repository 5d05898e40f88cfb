"""A chat as a file: the JSON that is exported and imported again. Pure; no SQL, no files.

An export of all chats is `{"version": 1, "chats": [...]}`, each of them as a chat that is exported alone.
"""

import heapq
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from chat_app.errors import InvalidRequest
from chat_app.models import MAX_REMARK_CHARS, MAX_SYSTEM_PROMPT_CHARS, Chat, Message, Role, Status, new_id, now
from chat_app.names import UNSEEN, clean_name
from chat_app.parts import checked_layout

VERSION = 1
MAX_FILE_CHARS = 256_000_000
MAX_MESSAGES = 1_000_000
"""Both of one chat: more than anyone has said in one, and no more than a machine has memory for."""
MAX_NAME_CHARS = 200
MAX_PARTS = 20_000
MAX_DETAIL_BYTES = 20_000
TITLE_CHARS = 60
NEW_CHAT = "New chat"
# NUL and half a surrogate pair are no text; no database takes them.
NO_TEXT = re.compile("[\0\ud800-\udfff]")
Row = dict[str, Any]
"""The columns of a row, by name: to make an object of each takes as long as all else that an import does."""
_COLUMNS: Row = Message(chat_id="", role="").model_dump()


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("leave out the NUL character, it is no text")
    return value


def _named(value: str) -> str:
    if not (name := clean_name(value)):
        raise ValueError("write something, not only spaces")
    return name


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such time in UTC") from None


def _small(value: dict[str, Any]) -> dict[str, Any]:
    """What a JSON column takes, and can be sent again."""
    try:
        size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (ValueError, TypeError, RecursionError):
        raise ValueError("it holds what is no JSON") from None
    if size > MAX_DETAIL_BYTES:
        raise ValueError(f"it is longer than {MAX_DETAIL_BYTES:,} bytes")
    return value


def _counts(usage: dict[str, Any]) -> dict[str, Any]:
    counts = [whole_number(count) for name, count in usage.items() if name.endswith("_tokens")]
    if any(isinstance(count, bool) or not isinstance(count, int) for count in counts):
        raise ValueError("a number of tokens is no whole number")
    return usage


def whole_number(value: Any) -> Any:
    """JSON has one kind of number: 1.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# What the validators say, for the OpenAPI.
TEXT_PATTERN = r"^[^\u0000]*$"
# White space to Python, not to JSON Schema: U+001C to U+001F and U+0085.
WORDS_PATTERN = r"^[^\u0000]*[^\u0000\s\u001c-\u001f\u0085][^\u0000]*$"
NAME_PATTERN = rf"^[^\u0000]*[^{UNSEEN}][^\u0000]*$"

Text = Annotated[str, AfterValidator(_storable), Field(json_schema_extra={"pattern": TEXT_PATTERN})]
Name = Annotated[
    str,
    StringConstraints(max_length=MAX_NAME_CHARS),
    AfterValidator(_storable),
    AfterValidator(_named),
    Field(json_schema_extra={"pattern": NAME_PATTERN}),
]
SystemPrompt = Annotated[Text, StringConstraints(max_length=MAX_SYSTEM_PROMPT_CHARS)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
Rating = Annotated[int, Field(ge=-1, le=1), BeforeValidator(whole_number)]
Remark = Annotated[Text, StringConstraints(max_length=MAX_REMARK_CHARS)]
Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Usage = Annotated[
    dict[str, Any],
    AfterValidator(_small),
    AfterValidator(_counts),
    Field(json_schema_extra={"patternProperties": {"_tokens$": {"type": "integer"}}}),
]
Parts = Annotated[list[dict[str, Any]], Field(max_length=MAX_PARTS), AfterValidator(checked_layout)]
Milliseconds = Annotated[int, Field(ge=0, lt=2**31), BeforeValidator(whole_number)]


class FileError(BaseModel):
    """What went wrong with a reply, for programs (`code`) and for people."""

    model_config = ConfigDict(strict=True)

    code: Annotated[Text, StringConstraints(max_length=100)]
    message: Annotated[Text, StringConstraints(max_length=MAX_DETAIL_BYTES)]
    retryable: bool = False
    retry_after: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class FileChat(BaseModel):
    model_config = ConfigDict(strict=True, from_attributes=True)

    title: Name
    created_at: Time = Field(default_factory=now)
    updated_at: Time = Field(default_factory=now)
    pinned: bool = False
    named: bool = True
    leaf_id: Id | None = None
    model: Name | None = None
    system_prompt: SystemPrompt | None = None
    temperature: Temperature | None = None


class FileMessage(BaseModel):
    """A message follows its parent, which is in the file too; the first ones have none."""

    model_config = ConfigDict(strict=True, from_attributes=True)

    id: Id
    parent_id: Id | None = None
    role: Literal["user", "assistant"]
    content: Text
    reasoning: Text = ""
    parts: Parts | None = None
    status: Status = Status.complete
    finish_reason: Annotated[Text, StringConstraints(max_length=100)] | None = None
    model: Annotated[Text, StringConstraints(max_length=200)] | None = None
    usage: Usage | None = None
    error: FileError | None = None
    first_token_ms: Milliseconds | None = None
    duration_ms: Milliseconds | None = None
    rating: Rating = 0
    remark: Remark = ""
    created_at: Time = Field(default_factory=now)


class ChatFile(BaseModel):
    """A chat with all versions of all its messages."""

    model_config = ConfigDict(strict=True)

    version: Literal[1]
    chat: FileChat
    messages: list[FileMessage]


class ChatsFile(BaseModel):
    """All chats. It is read one chat at a time, so this is its description only."""

    version: Literal[1]
    chats: list[ChatFile]


ALL_BEGIN, ALL_END = f'{{"version": {VERSION}, "chats": [', "]}\n"
"""Around the chats of an export of all, which have commas between them."""
END = "]}"


def begin_of(chat: Chat) -> str:
    """The JSON of an exported chat up to its first message; `listed` ones and `END` follow."""
    return f'{{"version": {VERSION}, "chat": {_dumps(file_chat(chat))}, "messages": ['


def listed(messages: Sequence[Message]) -> str:
    """The JSON of messages, with commas between them."""
    return ",\n".join(_dumps(file_message(message)) for message in messages)


def exported(chat: Chat, messages: Sequence[Message]) -> dict[str, Any]:
    """The whole tree as plain JSON values."""
    return {"version": VERSION, "chat": file_chat(chat), "messages": [file_message(message) for message in messages]}


def file_chat(chat: Chat) -> dict[str, Any]:
    """Its part of an export, as plain JSON values that can be imported whatever is stored."""
    return _importable(FileChat, chat, {"title": NEW_CHAT})


def file_message(message: Message) -> dict[str, Any]:
    """Its part of an export, as plain JSON values that can be imported whatever is stored."""
    return _importable(FileMessage, message, {"id": message.id, "role": Role.assistant.value, "content": ""})


def imported(data: str | bytes) -> tuple[Chat, list[Row]]:
    """An exported chat and its messages with new ids, each message after its parent; `data` is its JSON.

    Raises:
        InvalidRequest: it is none, or too large.
    """
    file = _parsed(data)
    ids = {message.id: "" for message in file.messages}
    if len(ids) < len(file.messages):
        raise InvalidRequest("The file has two messages with the same id. Export the chat again.")
    chat = Chat(**file.chat.model_dump(exclude={"leaf_id"}))
    rows: list[Row] = []
    depths: dict[str, int] = {}
    for message in _parents_first(file.messages):
        ids[message.id] = new_id()
        depths[message.id] = depths[message.parent_id] + 1 if message.parent_id else 0
        rows.append(_row(message, chat.id, ids, depths[message.id]))
    chat.leaf_id = ids.get(file.chat.leaf_id or "")
    return chat, rows


def title_from(content: str) -> str:
    """The first line of a chat's first message, cut at a word."""
    line = next((name for line in content.splitlines() if (name := clean_name(line))), NEW_CHAT)
    if len(line) <= TITLE_CHARS:
        return line
    return line[:TITLE_CHARS].rsplit(" ", 1)[0].rstrip(",.;:") + "…"


def _importable(model: type[BaseModel], row: Chat | Message, instead: dict[str, Any]) -> dict[str, Any]:
    """The row's fields; those that could not be read again are mended, `instead` has what the required ones become."""
    stored = {name: getattr(row, name) for name in model.model_fields}
    values = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in stored.items()}
    if _is_valid(model, values):
        return values
    return {name: _mended(model, name, value, instead) for name, value in values.items()}


def _mended(model: type[BaseModel], name: str, value: Any, instead: dict[str, Any]) -> Any:
    """The value itself, what is left of it as text, or the default."""
    text = NO_TEXT.sub("\ufffd", value) if isinstance(value, str) else value
    for attempt in (value, text, text[:MAX_NAME_CHARS] if isinstance(text, str) else None):
        if _is_valid(model, instead | {name: attempt}):
            return attempt
    return (model.model_construct().model_dump(mode="json", include={name}) | instead).get(name)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _is_valid(model: type[BaseModel], values: dict[str, Any]) -> bool:
    try:
        model.model_validate_json(json.dumps(values, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _parsed(data: str | bytes) -> ChatFile:
    if len(data) > MAX_FILE_CHARS:
        raise InvalidRequest(f"The file is too large; at most {MAX_FILE_CHARS:,} characters are read.")
    try:
        file = ChatFile.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise InvalidRequest("The file is no valid JSON. Choose one that was exported from here.") from None
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"This is no exported chat; {where}: {reason}.") from None
    if sum(len(message.content) + len(message.reasoning) for message in file.messages) > MAX_FILE_CHARS:
        raise InvalidRequest(f"The chat is too large; at most {MAX_FILE_CHARS:,} characters are read.")
    if len(file.messages) > MAX_MESSAGES:
        raise InvalidRequest(f"The chat has too many messages; at most {MAX_MESSAGES:,} are read.")
    return file


def _parents_first(messages: Sequence[FileMessage]) -> list[FileMessage]:
    """In the file's order otherwise: the new ids must sort as the old ones did."""
    children: dict[str | None, list[int]] = defaultdict(list)
    for index, message in enumerate(messages):
        children[message.parent_id].append(index)
    ready = children.pop(None, [])
    ordered: list[FileMessage] = []
    while ready:
        message = messages[heapq.heappop(ready)]
        ordered.append(message)
        for child in children.pop(message.id, []):
            heapq.heappush(ready, child)
    if len(ordered) < len(messages):
        raise InvalidRequest("The file has messages whose parent is missing. Export the chat again.")
    return ordered


def _row(message: FileMessage, chat_id: str, ids: dict[str, str], depth: int) -> Row:
    values = message.model_dump(exclude={"id", "parent_id", "error"})
    if message.status is Status.streaming:
        # Nobody writes it any further.
        values |= {"status": Status.interrupted, "finish_reason": Status.interrupted.value}
    return message_row(
        id=ids[message.id],
        chat_id=chat_id,
        parent_id=ids[message.parent_id] if message.parent_id else None,
        depth=depth,
        error=message.error.model_dump(exclude_none=True) if message.error else None,
        **values,
    )


def message_row(**values: Any) -> Row:
    """All columns of a message: those that are given, and what the others are by themselves."""
    return _COLUMNS | values
