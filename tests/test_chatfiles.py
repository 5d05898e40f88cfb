"""Files of other apps as they come, damaged, and made to do harm: made-up exports with every odd field."""

import io
import json
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from chat_app.errors import InvalidRequest
from chat_app.store.chatfiles import reading
from chat_app.store.chatfiles.elements import Elements
from chat_app.store.chatfiles.reading import Imported, batches

Rows = list[dict[str, Any]]


def read(data: bytes | str | Any, folder: Path | None = None) -> tuple[Rows, Rows, Imported]:
    """The rows of chats and messages of a file, and what is said of it."""
    if not isinstance(data, bytes):
        data = (data if isinstance(data, str) else json.dumps(data)).encode()
    imported, chats, messages = Imported(), [], []
    with tempfile.TemporaryDirectory() as temporary:
        file = (folder or Path(temporary)) / "file"
        file.write_bytes(data)
        for batch in batches(file):
            imported.add(batch)
            chats += batch.chats
            messages += batch.messages
    return chats, messages, imported


def said(messages: Rows) -> list[str]:
    return [message["content"] for message in messages]


def tree(messages: Rows) -> list[tuple[str, str | None]]:
    """Each message's text and that of its parent, which comes before it."""
    texts: dict[str | None, str | None] = {None: None}
    found = []
    for message in messages:
        texts[message["id"]] = message["content"]
        found.append((message["content"], texts[message["parent_id"]]))
    return found


# ChatGPT


def node(id: str, parent: str | None, role: str = "", content: Any = "", **message: Any) -> dict[str, Any]:
    """A node of a mapping; without a role, one that has no message."""
    if not role:
        return {"id": id, "message": None, "parent": parent, "children": []}
    body = content if isinstance(content, dict) else {"content_type": "text", "parts": [content]}
    known: dict[str, Any] = {
        "id": id,
        "author": {"role": role, "name": None, "metadata": {}},
        "content": body,
        "recipient": "all",
    }
    return {"id": id, "message": known | {"metadata": {}, "weight": 1.0} | message, "parent": parent, "children": []}


def chatgpt(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    mapping = {one["id"]: one for one in nodes}
    return {"title": "A chat", "create_time": 1.7e9, "update_time": 1.7e9 + 60.5, "mapping": mapping} | more


HIDDEN = {"metadata": {"is_visually_hidden_from_conversation": True}}
PICTURE = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x", "width": 3}
SEVERAL_KINDS = chatgpt(
    node("root", None),
    node("system", "root", "system", "", **HIDDEN),
    node("about", "system", "user", {"content_type": "user_editable_context", "user_profile": "secret"}, **HIDDEN),
    node("q1", "about", "user", {"content_type": "multimodal_text", "parts": [PICTURE, "What is this?"]}),
    node("think", "q1", "assistant", {"content_type": "thoughts", "thoughts": [{"summary": "Look", "content": "hm"}]}),
    node("recap", "think", "assistant", {"content_type": "reasoning_recap", "content": "Thought for 2 s"}),
    node("call", "recap", "assistant", {"content_type": "code", "language": "python", "text": "1"}, recipient="python"),
    node("result", "call", "tool", {"content_type": "execution_output", "text": "1"}),
    node("a1", "result", "assistant", "A cat\ue200cite\ue202turn0search1\ue201.", metadata={"model_slug": "gpt-4o"}),
    node("a2", "result", "assistant", "A dog.", metadata={"finish_details": {"type": "interrupted"}}),
    node("q2", "a2", "user", {"content_type": "multimodal_text", "parts": [PICTURE, PICTURE]}),
    node("a3", "q2", "assistant", {"content_type": "code", "language": "unknown", "text": "x = 1"}),
    node("q3", "a2", "user", "And?", metadata={"attachments": [{"name": "x.pdf", "mime_type": "application/pdf"}]}),
    node("half", "q3", "assistant", "It is", status="in_progress"),
    current_node="a1",
    is_starred=True,
)


def test_a_chat_of_chatgpt_keeps_its_branches_and_counts_what_is_lost() -> None:
    [chat], messages, imported = read([SEVERAL_KINDS])
    assert (chat["title"], chat["named"], chat["pinned"]) == ("A chat", True, True)
    assert (chat["updated_at"] - chat["created_at"]).total_seconds() == 60.5
    assert tree(messages) == [
        ("What is this?", None),
        ("A cat.", "What is this?"),
        ("A dog.", "What is this?"),
        ("[pictures: 2]", "A dog."),
        ("And?", "A dog."),
        ("```\nx = 1\n```", "[pictures: 2]"),
        ("It is", "And?"),
    ]
    cat, dog = messages[1:3]
    assert (cat["model"], cat["status"], cat["reasoning"]) == ("gpt-4o", "complete", "**Look**\n\nhm")
    assert (dog["status"], messages[-1]["status"]) == ("stopped", "interrupted")
    assert chat["leaf_id"] == cat["id"]
    assert imported.sentence == "1 chat with 7 messages. Left out: 3 pictures, 2 tool messages, 1 file."
    assert "secret" not in str(messages)


def zipped(files: dict[str, str], **options: Any) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


def small(title: str) -> dict[str, Any]:
    return chatgpt(node("q", None, "user", title), title=title)


@pytest.mark.parametrize(
    "names",
    [
        ["conversations.json"],
        ["conversations-000.json", "conversations-001.json"],
        ["export/conversations (1).json", "export/conversations-2.json"],
        ["../../etc/conversations.json", "C:\\Users\\conversations-1.json"],
        ["chats.json"],
    ],
)
def test_the_zip_may_hold_many_files_and_others(names: list[str]) -> None:
    others = {"user.json": "{}", "shared_conversations.json": "[]", "chat.html": "<", "x/inner.zip": "PK", "a.png": ""}
    if names == ["chats.json"]:
        others = {"__MACOSX/._chats.json": "\0"}
    chats, _, imported = read(zipped({name: json.dumps([small(name)]) for name in names} | others))
    assert sorted(chat["title"] for chat in chats) == sorted(names)
    assert not imported.left_out


# Open WebUI


def webui(messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    history = {"messages": messages, "currentId": more.pop("current", None)}
    chat = {"title": "Web", "models": ["llama3"], "history": history, "messages": [], "params": {}} | more
    return {"id": "x", "user_id": "y", "title": "Web", "chat": chat, "updated_at": 1.7e9, "created_at": 1.6e9}


def web(id: str, parent: str | None, role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {id: {"id": id, "parentId": parent, "childrenIds": [], "role": role, "content": content} | more}


THOUGHT = '<details type="reasoning" done="true">\n<summary>Thought</summary>\n&gt; 1 &lt; 2\n> so\n</details>\nYes'
CALLED = 'Look: <details type="tool_calls" name="x">\n<summary>x</summary>\n</details>\nDone'
ANNOTATION = {"rating": -1, "comment": "no"}
WEBUI = webui(
    web("q", None, "user", "Is it?", timestamp=1.6e9, files=[{"type": "image", "url": "data:"}, {"type": "doc"}])
    | web(
        "a", "q", "assistant", THOUGHT, timestamp=1.6e9 + 1, model="llama3", annotation={"rating": -1, "comment": "no"}
    )
    | web("b", "q", "assistant", CALLED, timestamp=1.6e9 + 2, sources=[{}, {}], done=False)
    | web("c", "q", "assistant", "", timestamp=1.6e9 + 3, error={"content": "It broke."})
    | web("p", "a", "user", [{"type": "text", "text": "So"}, {"type": "image_url"}], timestamp=1.6e9 + 4)
    | web("t", "p", "tool", "result"),
    current="p",
    params={"system": "Be brief.", "temperature": 0.5},
)


def test_a_chat_of_open_webui_keeps_its_branches_and_counts_what_is_lost() -> None:
    [chat], messages, imported = read([WEBUI])
    assert (chat["title"], chat["system_prompt"], chat["temperature"]) == ("Web", "Be brief.", 0.5)
    assert tree(messages) == [
        ("Is it?", None),
        ("Yes", "Is it?"),
        ("Look: \nDone", "Is it?"),
        ("", "Is it?"),
        ("So", "Yes"),
    ]
    _, yes, done, broken, so = messages
    assert (yes["reasoning"], yes["rating"], yes["remark"], yes["model"]) == ("1 < 2\nso", -1, "no", "llama3")
    assert (done["status"], broken["status"], broken["error"]["message"]) == ("interrupted", "failed", "It broke.")
    assert chat["leaf_id"] == so["id"]
    assert dict(imported.left_out) == {"pictures": 2, "files": 1, "tool messages": 2, "sources": 2}


def test_older_exports_of_open_webui_have_a_list() -> None:
    said_ = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "one"},
    ]
    for chat in ({"title": "List", "messages": said_}, {"chat": {"title": "List", "messages": said_}}):
        [row], messages, _ = read([chat])
        assert row["title"] == "List"
        assert tree(messages) == [("one", None), ("two", "one"), ("one", "two")]


# Ours


OURS: dict[str, Any] = {
    "version": 1,
    "chat": {"title": "Ours", "updated_at": "2020-01-01T00:00:00Z"},
    "messages": [{"id": "1", "role": "user", "content": "Hi"}],
}


def test_many_chats_keep_their_times_and_one_comes_first() -> None:
    envelope = {"version": 1, "chats": [OURS, OURS]}
    for many in (envelope, [OURS, OURS], json.dumps(envelope, indent=2)):
        chats, messages, imported = read(many)
        assert [chat["updated_at"].year for chat in chats] == [2020, 2020]
        assert imported.sentence == "2 chats with 2 messages."
        assert len({row["id"] for row in chats + messages}) == 4
    [chat], _, _ = read(OURS)
    assert chat["updated_at"].year > 2020


def test_one_file_may_hold_chats_of_all_apps() -> None:
    chats, _, imported = read([OURS, SEVERAL_KINDS, WEBUI, {"mapping": {}}, None, {"x": 1}])
    assert [chat["title"] for chat in chats] == ["Ours", "A chat", "Web"]
    assert imported.left_out["empty chats"] == 1
    assert imported.left_out["unreadable chats"] == 2


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b"\n \xef\xbb\xbf"])
@pytest.mark.parametrize("value", [OURS, [SEVERAL_KINDS], [WEBUI], {"version": 1, "chats": [OURS]}])
def test_a_byte_order_mark_is_ignored(mark: bytes, value: Any) -> None:
    assert len(read(mark + json.dumps(value).encode())[0]) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_of_json_are_read(encoding: str) -> None:
    assert said(read(json.dumps([small("Käse 🧀")], ensure_ascii=False).encode(encoding))[1]) == ["Käse 🧀"]


# Damaged


def test_a_tree_that_is_none_is_mended() -> None:
    nodes = [
        node("loop 1", "loop 2", "user", "loop 1"),
        node("loop 2", "loop 3", "assistant", "loop 2"),
        node("loop 3", "loop 1", "user", "loop 3"),
        node("below the loop", "loop 2", "assistant", "below the loop"),
        node("itself", "itself", "user", "itself"),
        node("orphan", "nowhere", "user", "orphan"),
        node("of a number", None, "user", "of a number") | {"parent": 7},
        node("root 1", None, "user", "root 1"),
        node("root 2", None, "user", "root 2"),
    ]
    _, messages, _ = read([chatgpt(*nodes, current_node="nowhere")])
    found = dict(tree(messages))
    assert found == {
        "loop 1": None,
        "loop 3": "loop 1",
        "loop 2": "loop 3",
        "below the loop": "loop 2",
        **dict.fromkeys(["itself", "orphan", "of a number", "root 1", "root 2"]),
    }


@pytest.mark.slow
def test_a_chain_of_many_nodes_is_no_trouble() -> None:
    count = 3_000
    chain = [node(str(n), str(n - 1), "user" if n % 2 else "assistant", "x") for n in range(count)]
    # Backwards, and closed to a ring.
    chain[0]["parent"] = str(count - 1)
    _, messages, _ = read([chatgpt(*reversed(chain))])
    assert len(messages) == count
    assert sum(message["parent_id"] is None for message in messages) == 1


ODD_TIMES: list[Any] = [
    None,
    True,
    "x",
    "",
    -1e30,
    1e30,
    10**400,
    "2024-01-01T00:00:00",
    "2024-01-01T00:00:00Z",
    [],
    {},
]


@pytest.mark.parametrize("time", [*ODD_TIMES, 1.7e9, 1.7e12, 1.7e15, 1.7e18, "1700000000", "1700000000000", 0, -5])
def test_any_time_gives_one(time: Any) -> None:
    chat = chatgpt(node("q", None, "user", "x", create_time=time), create_time=time, update_time=time)
    [row], [message], _ = read([chat])
    assert row["created_at"].tzinfo and message["created_at"].tzinfo and row["updated_at"].tzinfo
    if str(time).startswith(("17", "1.7")):
        assert message["created_at"].year == 2023


ODD: list[Any] = [None, True, 0, -1.5, "", "x", "\ud800\0", [], [None], {}, {"x": {}}, "y" * 100_000]


@pytest.mark.slow
@pytest.mark.parametrize("odd", ODD)
def test_any_value_anywhere_is_read_or_left_out(odd: Any) -> None:
    """Each value of the exports above in turn becomes `odd`."""
    for value in (SEVERAL_KINDS, WEBUI):
        for changed in with_one_changed(value, odd):
            try:
                chats, messages, _ = read([changed, small("whole")])
            except InvalidRequest as error:
                raise AssertionError(f"{error} with {changed}") from None
            assert chats[-1]["title"] == "whole"
            for row in messages:
                assert row["role"] in ("user", "assistant")
                row["content"].encode()
                assert "\0" not in row["content"]


def with_one_changed(value: Any, odd: Any) -> list[Any]:
    inside = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    found = []
    for key, old in inside:
        for new in [odd, *with_one_changed(old, odd)]:
            copy = value.copy()
            copy[key] = new
            found.append(copy)
    return found


# Damaged as JSON, or made to do harm


def with_lying_size(data: bytes) -> bytes:
    """A zip whose directory says that its file is small."""
    at = data.index(b"PK\x01\x02")
    return data[: at + 24] + struct.pack("<I", 10) + data[at + 28 :]


WHOLE = json.dumps([small("one"), small("two")])
BAD: dict[str, bytes | str] = {
    "nothing": "",
    "space": " \n" * 300_000,
    "cut off": WHOLE[:-30],
    "cut between": WHOLE[: WHOLE.index('{"title": "two"')],
    "without an end": WHOLE[:-1],
    "more after it": WHOLE + "]",
    "two files in one": WHOLE + WHOLE,
    "a comma too many": WHOLE[:-1] + ",]",
    "no commas": WHOLE.replace("}, {", "} {"),
    "deep": "[" * 200_000,
    "deep inside": '[{"mapping": ' + '{"a":' * 200_000,
    "deep and whole": "[" * 100_000 + "]" * 100_000,
    "a number of many digits": '[{"mapping": {}, "x": ' + "9" * 5_000 + "}]",
    "no text": b"\xff\xfe\xfa" * 1_000,
    "half a character": WHOLE.encode()[:-1] + b"\xc3]",
    "nothing in it": "[]",
    "no chats in it": "[1, 2, null]",
    "too many that are none": "[" + "null," * 20_000 + "1]",
    "an object": '{"hello": "world"}',
    "html": "<!doctype html><title>x</title>",
    "a zip of nothing": zipped({}),
    "a zip of something else": zipped({"a.txt": "x"}),
    "a zip in a zip": zipped({"a.zip": zipped({"conversations.json": WHOLE}).decode("latin-1")}),
    "half a zip": zipped({"conversations.json": WHOLE})[:-40],
    "a zip that was changed": zipped({"conversations.json": WHOLE}).replace(b"\x9c", b"\x9d").replace(b"\x8f", b"\x8e"),
    "a zip that lies": with_lying_size(zipped({"conversations.json": WHOLE})),
    "one chat of two is damaged": json.dumps([OURS, OURS | {"messages": [{"id": "1", "role": "x", "content": ""}]}]),
    "another version of ours": json.dumps({"version": 2, "chats": [OURS]}),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read_gets_a_sentence(data: bytes | str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(data)
    assert caught.value.message.endswith(".")
    assert len(caught.value.message) < 400


@pytest.mark.slow
def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    spaces = " " * 1_000_000
    bomb = io.BytesIO()
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("conversations.json", "w") as member,
    ):
        for _ in range(150):
            member.write(spaces.encode())
    with pytest.raises(InvalidRequest, match=r"150,000,000 bytes"):
        read(bomb.getvalue(), tmp_path)


def test_a_chat_that_is_too_long_is_not_read_to_its_end() -> None:
    class Endless(io.StringIO):
        given = 0

        def read(self, size: int | None = -1) -> str:
            assert size and size > 0
            text = '["' if not self.given else "x" * size
            self.given += len(text)
            return text

    source = Endless()
    with pytest.raises(InvalidRequest, match="too large"):
        list(Elements(source, max_chars=3_000_000))
    assert source.given < 20_000_000


def test_only_one_chat_is_in_memory() -> None:
    chats = [small(f"chat {number}") for number in range(3_000)]
    text = io.StringIO(json.dumps(chats))
    elements = Elements(text)
    first, _ = next(iter(elements))
    assert first["title"] == "chat 0"
    assert text.tell() < len(text.getvalue()) / 2


@pytest.mark.slow
def test_the_progress_of_a_file_and_of_a_zip_comes_to_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reading, "BATCH_MESSAGES", 1)
    text = json.dumps([small("x" * 1_000) for _ in range(900)])
    for data in (text.encode(), zipped({"conversations-1.json": text, "conversations-2.json": text})):
        (tmp_path / "file").write_bytes(data)
        steps = [(batch.read, batch.size) for batch in batches(tmp_path / "file")]
        assert steps[-1][0] == steps[-1][1]
        assert steps == sorted(steps)
        assert len({read for read, _ in steps}) > 2
