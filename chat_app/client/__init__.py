"""A Python client of a running Rill server, for other programs. `python -m chat_app.client` is a chat in the terminal.

It needs only httpx and httpx-sse, and nothing of the server: the folder can be copied into another project.
"""

from chat_app.client.chat_client import ChatClient
from chat_app.client.events import ClientError, Event, Finished, Part, Reasoning, Started, Text
from chat_app.client.records import Chat, Hit, Imported, Message
from chat_app.client.sync_client import SyncChatClient

__all__ = [
    "Chat",
    "ChatClient",
    "ClientError",
    "Event",
    "Finished",
    "Hit",
    "Imported",
    "Message",
    "Part",
    "Reasoning",
    "Started",
    "SyncChatClient",
    "Text",
]
