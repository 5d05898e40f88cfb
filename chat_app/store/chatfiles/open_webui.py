"""Open WebUI's export: an array of chats whose `chat.history.messages` is a tree; older ones have a list. Pure."""

import html
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from chat_app.models import MAX_REMARK_CHARS, MAX_SYSTEM_PROMPT_CHARS, Chat, Role, Status, now
from chat_app.store.chatfile import NEW_CHAT
from chat_app.store.chatfiles.branches import Node, ReadChat, grown
from chat_app.store.chatfiles.chatgpt import FILES, PICTURES, ROLES, TOOLS
from chat_app.store.chatfiles.values import fields, items, moment, number, short, text

SOURCES = "sources"
# What it writes into an answer's own text. Looked for with `find`: a regular expression would look for the end of each
# that has none through all that follows.
DETAILS, DETAILS_END = '<details type="', "</details>"
SUMMARY = re.compile(r"\s*<summary>[^<]*</summary>")


def is_chat(value: Any) -> bool:
    chat = _chat(value)
    return isinstance(chat.get("history"), dict) or isinstance(chat.get("messages"), list)


def read(value: dict[str, Any]) -> ReadChat:
    chat, left_out = _chat(value), Counter[str]()
    params = fields(chat.get("params"))
    began = moment(value.get("created_at")) or moment(chat.get("timestamp")) or moment(value.get("updated_at")) or now()
    title = short(chat.get("title")) or short(value.get("title"))
    temperature = number(params.get("temperature"))
    found = Chat(
        title=title or NEW_CHAT,
        named=title is not None,
        created_at=began,
        updated_at=moment(value.get("updated_at")) or began,
        pinned=value.get("pinned") is True,
        system_prompt=text(params.get("system"))[:MAX_SYSTEM_PROMPT_CHARS].strip() or None,
        temperature=temperature if temperature is not None and 0 <= temperature <= 2 else None,
    )
    history = fields(chat.get("history"))
    tree = fields(history.get("messages"))
    nodes = list(_of_tree(tree, left_out) if tree else _of_list(items(chat.get("messages")), left_out))
    current = history.get("currentId")
    leaf = current if isinstance(current, str) and current in tree else nodes[-1].id if nodes and not tree else None
    return grown(found, nodes, leaf, left_out)


def _chat(value: Any) -> dict[str, Any]:
    """The chat itself, which stands in a frame of its database or alone."""
    inside = fields(fields(value).get("chat"))
    return inside or fields(value)


def _of_tree(messages: dict[str, Any], left_out: Counter[str]) -> Iterator[Node]:
    for id, message in messages.items():
        yield _node(id, fields(message).get("parentId"), fields(message), left_out)


def _of_list(messages: list[Any], left_out: Counter[str]) -> Iterator[Node]:
    """Each follows the one before, whatever its id."""
    for place, message in enumerate(messages):
        yield _node(str(place), str(place - 1) if place else None, fields(message), left_out)


def _node(id: str, parent: Any, message: dict[str, Any], left_out: Counter[str]) -> Node:
    node = Node(id, parent if isinstance(parent, str) else None, time=moment(message.get("timestamp")))
    role = ROLES.get(text(message.get("role")))
    if role is None:
        left_out[TOOLS] += message.get("role") == "tool"
        return node
    lost: Counter[str] = Counter()
    said = _said(message.get("content"), lost)
    if role is Role.assistant:
        said, node.reasoning = _without_details(said, lost)
        node.more = _figures(message)
    for file in items(message.get("files")):
        lost[PICTURES if _is_picture(file) else FILES] += 1
    lost[SOURCES] += len(items(message.get("sources")) or items(message.get("citations")))
    left_out.update(+lost)
    if not said.strip() and role is Role.user:
        said = ", ".join(f"[{kind}: {count}]" for kind, count in lost.items() if count)
    if said.strip() or node.more.get("error"):
        node.role, node.content = role, said
    return node


def _said(content: Any, lost: Counter[str]) -> str:
    if isinstance(content, str):
        return text(content)
    parts = []
    for part in map(fields, items(content)):
        lost[PICTURES] += part.get("type") in ("image_url", "image")
        parts.append(text(part.get("text")))
    return "\n\n".join(part for part in parts if part)


def _without_details(said: str, lost: Counter[str]) -> tuple[str, str]:
    """The answer's text and its thoughts, which stand quoted in it; what its tools did is counted."""
    kept, thoughts, at = [], [], 0
    while (start := said.find(DETAILS, at)) >= 0 and (end := said.find(DETAILS_END, start)) >= 0:
        kept.append(said[at:start])
        head, _, inside = said[start + len(DETAILS) : end].partition(">")
        if head.startswith("reasoning"):
            thoughts.append(_unquoted(inside))
        else:
            lost[TOOLS] += 1
        at = end + len(DETAILS_END)
    if not at:
        return said, ""
    return "".join((*kept, said[at:])).strip(), "\n\n".join(thoughts)


def _unquoted(thoughts: str) -> str:
    lines = html.unescape(SUMMARY.sub("", thoughts, count=1)).strip().splitlines()
    return "\n".join(line.removeprefix(">").removeprefix(" ") for line in lines)


def _figures(message: dict[str, Any]) -> dict[str, Any]:
    annotation = fields(message.get("annotation"))
    rating = annotation.get("rating")
    figures: dict[str, Any] = {
        "status": Status.interrupted if message.get("done") is False else Status.complete,
        "model": short(message.get("model")) or short(message.get("modelName")),
        "rating": int(rating) if rating in (1, -1, "1", "-1") else 0,
        "remark": text(annotation.get("comment"))[:MAX_REMARK_CHARS].strip(),
    }
    if problem := message.get("error"):
        said = text(fields(problem).get("content")) or text(problem) or "The answer failed."
        figures |= {
            "status": Status.failed,
            "error": {"code": "provider_error", "message": said[:2_000], "retryable": False},
        }
    status = figures["status"]
    return figures | {"finish_reason": "stop" if status is Status.complete else status.value}


def _is_picture(file: Any) -> bool:
    kind = text(fields(file).get("type")) + text(fields(fields(file).get("file")).get("type"))
    return "image" in kind or text(fields(file).get("content_type")).startswith("image/")
