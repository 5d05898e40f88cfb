"""ChatGPT's `conversations.json`: an array of chats, each a `mapping` of nodes that name their parents. Pure.

A chat's root has no message; system messages, tools and what the model says to them are nodes of the same tree.
"""

import re
from collections import Counter
from typing import Any

from chat_app.models import Chat, Role, Status, now
from chat_app.store.chatfile import NEW_CHAT
from chat_app.store.chatfiles.branches import Node, ReadChat, grown
from chat_app.store.chatfiles.values import fields, items, moment, short, text

ROLES = {"user": Role.user, "assistant": Role.assistant}
# What the model is told of the user and of files, and what sums up its thoughts: no part of what was said.
UNSAID = {"user_editable_context", "model_editable_context", "reasoning_recap"}
PICTURES, FILES, SOUND, TOOLS = "pictures", "files", "recordings", "tool messages"
POINTERS = {
    "image_asset_pointer": PICTURES,
    "audio_asset_pointer": SOUND,
    "real_time_user_audio_video_asset_pointer": SOUND,
    "video_container_asset_pointer": SOUND,
}
STATUSES = {"interrupted": Status.stopped, "client_stopped": Status.stopped, "max_tokens": Status.complete}
# Marks where the app shows a source; without the app they say nothing.
CITATIONS = re.compile("\ue200[^\ue200\ue201]*\ue201")


def is_chat(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("mapping"), dict)


def read(value: dict[str, Any]) -> ReadChat:
    left_out: Counter[str] = Counter()
    began = moment(value.get("create_time")) or moment(value.get("update_time")) or now()
    title = short(value.get("title"))
    chat = Chat(
        title=title or NEW_CHAT,
        named=title is not None,
        created_at=began,
        updated_at=moment(value.get("update_time")) or began,
        pinned=value.get("is_starred") is True,
    )
    nodes = [_node(id, fields(node), left_out) for id, node in value["mapping"].items()]
    current = value.get("current_node")
    return grown(chat, nodes, current if isinstance(current, str) else None, left_out)


def _node(id: str, node: dict[str, Any], left_out: Counter[str]) -> Node:
    message, parent = fields(node.get("message")), node.get("parent")
    found = Node(id, parent if isinstance(parent, str) else None, time=moment(message.get("create_time")))
    metadata, content = fields(message.get("metadata")), fields(message.get("content"))
    kind, said_by = text(content.get("content_type")), text(fields(message.get("author")).get("role"))
    if kind == "thoughts":
        found.reasoning = _thoughts(content)
    elif not message or kind in UNSAID or said_by == "system" or metadata.get("is_visually_hidden_from_conversation"):
        pass
    elif said_by == "tool" or message.get("recipient") not in (None, "all"):
        left_out[TOOLS] += 1
        _said(content, left_out)
    elif said_by in ROLES:
        _say(found, ROLES[said_by], message, left_out)
    return found


def _say(node: Node, role: Role, message: dict[str, Any], left_out: Counter[str]) -> None:
    """The node becomes a message, if there is anything to read."""
    metadata, content = fields(message.get("metadata")), fields(message.get("content"))
    lost: Counter[str] = Counter()
    said = CITATIONS.sub("", _said(content, lost))
    lost[FILES] += sum(not _is_picture(file) for file in items(metadata.get("attachments")))
    left_out.update(+lost)
    # A question that was a picture alone still has its answer.
    node.content = said if said.strip() else _named(lost) if role is Role.user else ""
    if node.content:
        node.role = role
        node.more = _figures(role, message, metadata)


def _figures(role: Role, message: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    if role is Role.user:
        return {}
    ended = text(fields(metadata.get("finish_details")).get("type"))
    status = STATUSES.get(ended, Status.complete)
    if message.get("status") == "in_progress":
        status = Status.interrupted
    reason = "length" if ended == "max_tokens" else "stop" if status is Status.complete else status.value
    return {"status": status, "finish_reason": reason, "model": short(metadata.get("model_slug"))}


def _said(content: dict[str, Any], left_out: Counter[str]) -> str:
    """The text of a content; what is no text is counted."""
    if content.get("content_type") == "code":
        language = short(content.get("language")) or ""
        return f"```{'' if language == 'unknown' else language}\n{text(content.get('text'))}\n```"
    parts = [_part(part, left_out) for part in items(content.get("parts"))]
    return "\n\n".join(part for part in (*parts, text(content.get("text"))) if part.strip())


def _part(part: Any, left_out: Counter[str]) -> str:
    if isinstance(part, str):
        return text(part)
    kind = text(fields(part).get("content_type"))
    if kind in POINTERS:
        left_out[POINTERS[kind]] += 1
    elif not (said := text(fields(part).get("text"))) and part:
        left_out[FILES] += 1
    else:
        return said
    return ""


def _thoughts(content: dict[str, Any]) -> str:
    found = [fields(thought) for thought in items(content.get("thoughts"))]
    parts = [(text(thought.get("summary")).strip(), text(thought.get("content")).strip()) for thought in found]
    return "\n\n".join(f"**{summary}**\n\n{said}".strip() if summary else said for summary, said in parts).strip()


def _is_picture(file: Any) -> bool:
    return text(fields(file).get("mime_type") or fields(file).get("mimeType")).startswith("image/")


def _named(lost: Counter[str]) -> str:
    """What stands for a message that has no text: `[pictures: 2]`."""
    return ", ".join(f"[{kind}: {count}]" for kind, count in lost.items() if count)
