"""A chat as a file: the JSON that is exported and imported again, and Markdown. Pure; no SQL, no files."""

import heapq
import json
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
from chat_app.models import Chat, Message, Role, Status, new_id, now

VERSION = 1
MAX_FILE_CHARS = 20_000_000
MAX_MESSAGES = 20_000
MAX_MESSAGE_CHARS = 2_000_000
MAX_DETAIL_BYTES = 20_000
MAX_REMARK_CHARS = 2_000
MAX_SYSTEM_PROMPT_CHARS = 32_000
HEADINGS = {Role.user: "You", Role.assistant: "Assistant"}


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("leave out the NUL character, it is no text")
    return value


def _named(value: str) -> str:
    if not (name := value.strip()):
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
    counts = [_whole(count) for name, count in usage.items() if name.endswith("_tokens")]
    if any(isinstance(count, bool) or not isinstance(count, int) for count in counts):
        raise ValueError("a number of tokens is no whole number")
    return usage


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 1.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# What the validators say, for the OpenAPI.
TEXT_PATTERN = r"^[^\u0000]*$"
# White space to Python, not to JSON Schema: U+001C to U+001F and U+0085.
WORDS_PATTERN = r"^[^\u0000]*[^\u0000\s\u001c-\u001f\u0085][^\u0000]*$"

Text = Annotated[str, AfterValidator(_storable), Field(json_schema_extra={"pattern": TEXT_PATTERN})]
Name = Annotated[
    str,
    StringConstraints(max_length=200),
    AfterValidator(_storable),
    AfterValidator(_named),
    Field(json_schema_extra={"pattern": WORDS_PATTERN}),
]
SystemPrompt = Annotated[Text, StringConstraints(max_length=MAX_SYSTEM_PROMPT_CHARS)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
Rating = Annotated[int, Field(ge=-1, le=1), BeforeValidator(_whole)]
Remark = Annotated[Text, StringConstraints(max_length=MAX_REMARK_CHARS)]
Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Usage = Annotated[
    dict[str, Any],
    AfterValidator(_small),
    AfterValidator(_counts),
    Field(json_schema_extra={"patternProperties": {"_tokens$": {"type": "integer"}}}),
]
Milliseconds = Annotated[int, Field(ge=0, lt=2**31), BeforeValidator(_whole)]


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
    content: Annotated[Text, StringConstraints(max_length=MAX_MESSAGE_CHARS)]
    reasoning: Annotated[Text, StringConstraints(max_length=MAX_MESSAGE_CHARS)] = ""
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
    messages: Annotated[list[FileMessage], Field(max_length=MAX_MESSAGES)]


def exported(chat: Chat, messages: Sequence[Message]) -> dict[str, Any]:
    """The whole tree as plain JSON values."""
    # Not validated: what is in the database goes out, whatever it is.
    return {
        "version": VERSION,
        "chat": _fields(FileChat, chat),
        "messages": [_fields(FileMessage, message) for message in messages],
    }


def imported(data: str | bytes) -> tuple[Chat, list[Message]]:
    """The rows of an exported chat with new ids, each message after its parent; `data` is its JSON.

    Raises:
        InvalidRequest: it is none, or too large.
    """
    file = _parsed(data)
    ids = {message.id: "" for message in file.messages}
    if len(ids) < len(file.messages):
        raise InvalidRequest("The file has two messages with the same id. Export the chat again.")
    # Used just now: it comes first in the list.
    chat = Chat(**file.chat.model_dump(exclude={"leaf_id", "updated_at"}))
    rows = []
    for message in _parents_first(file.messages):
        ids[message.id] = new_id()
        rows.append(_row(message, chat.id, ids))
    chat.leaf_id = ids.get(file.chat.leaf_id or "")
    return chat, rows


def markdown(chat: Chat, path: Sequence[Message]) -> str:
    """The shown path, each message under its role."""
    parts = [f"# {chat.title}"]
    parts += [f"## {HEADINGS[Role(message.role)]}\n\n{message.content.strip()}".rstrip() for message in path]
    return "\n\n".join(parts) + "\n"


def _fields(model: type[BaseModel], row: Chat | Message) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in model.model_fields}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


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


def _row(message: FileMessage, chat_id: str, ids: dict[str, str]) -> Message:
    values = message.model_dump(exclude={"id", "parent_id", "error"})
    if message.status is Status.streaming:
        # Nobody writes it any further.
        values |= {"status": Status.interrupted, "finish_reason": Status.interrupted.value}
    return Message(
        id=ids[message.id],
        chat_id=chat_id,
        parent_id=ids[message.parent_id] if message.parent_id else None,
        error=message.error.model_dump(exclude_none=True) if message.error else None,
        **values,
    )
