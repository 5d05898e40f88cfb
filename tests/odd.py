"""Requests and websocket messages that no client should send, made up from a seed. Pure: no I/O, only bytes.

`odd_request(random, names)` is one request as its bytes on the wire, `odd_message(random, names)` one message of the
websocket, `odd_frames(random)` what is no message. `names` are the ids that exist: most requests must get further than
"there is no such chat".
"""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

Names = dict[str, str]
"""`{"chat_id", "turn_id", "message_id", "doomed_id"}` → the id of one that is there; the last is a chat to delete."""

DIGITS = "9" * 10_000
DEEP = 100_000
ROUTES: Sequence[tuple[str, str, Any]] = [
    ("POST", "/stream/", {"content": "Say hello", "chat_id": None}),
    ("GET", "/stream/selftest", None),
    ("GET", "/stream/{turn_id}", None),
    ("GET", "/stream/ws", None),
    ("POST", "/stream/{turn_id}/stop", None),
    ("POST", "/stream/{turn_id}/continue", None),
    ("POST", "/messages/", {"content": "Say hello", "chat_id": None}),
    ("GET", "/messages/", None),
    ("GET", "/messages/{message_id}", None),
    ("POST", "/messages/{message_id}/stop", None),
    ("POST", "/messages/{message_id}/continue", None),
    ("POST", "/messages/{message_id}/rating", {"rating": 1, "remark": "Just right"}),
    ("GET", "/chats/", None),
    ("POST", "/chats/", {"title": "Plans"}),
    ("POST", "/chats/import", {"version": 1, "chat": {"title": "x"}, "messages": []}),
    ("GET", "/chats/{chat_id}", None),
    ("PATCH", "/chats/{chat_id}", {"title": "Plans", "pinned": True, "model": None, "temperature": 0.5}),
    ("DELETE", "/chats/{doomed_id}", None),
    ("GET", "/chats/{chat_id}/export", None),
    ("GET", "/chats/export", None),
    ("GET", "/chats/{chat_id}/queue", None),
    ("POST", "/chats/{chat_id}/queue", {"content": "Say hello"}),
    ("PATCH", "/chats/{chat_id}/queue/{message_id}", {"content": "Say goodbye"}),
    ("DELETE", "/chats/{chat_id}/queue/{message_id}", None),
    ("POST", "/chats/{chat_id}/queue/{message_id}/send", None),
    ("GET", "/search/", None),
    ("POST", "/measures/", {"turn_id": "none", "session": "s", "first_ms": 12}),
    ("GET", "/measures/", None),
    ("POST", "/measures/survey", {"session": "s", "feel": 5, "remark": "At once."}),
    ("GET", "/openapi.json", None),
    ("GET", "/docs", None),
    ("GET", "/embed", None),
]
MESSAGE = {"id": "a", "parent_id": None, "role": "user", "content": "Hi", "usage": {"x_tokens": 1}, "error": None}
QUERIES = ["chat_id={chat_id}", "q=hello", "limit=5", "before={message_id}", "after=3", "ids=1", "include=reasoning"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "get", "M-SEARCH", "X" * 50]
SEGMENTS = ["%00", "%0A", "%0d%0a", "%ED%A0%80", "%FF", "%", "%zz", "..", ".", "%2e%2e%2f", "\\", "'", "%2F"]
SEGMENTS += ["{chat_id}", ";x=1", "🧀", "import", "ws", "selftest", "*", "%25", "a b", "\x7f", "http://evil.example/"]
SEGMENTS += ["x" * 9_000]
VALUES = ["0", "-1", "1e400", "NaN", "null", "[]", "true", "%00", "%FF", "%ED%A0%80", "🧀", "2026-13-45T99:99:99Z"]
VALUES += ["pinned,2026-01-01T00:00:00Z,x", "", DIGITS, "-" + DIGITS[:5000], "x" * 20_000]
VALUES += ["0001-01-01T00:00:00%2B14:00"]
TEXTS = ["", " ", "\0", "\ud800", "\udc00", "\ufeff", "\u2028", "🧀", "a\r\nb", "x" * 20_001, "x" * 40_000, "\x1b[31m"]
TEXTS += ["é"]
JSON_VALUES: list[Any] = [None, True, False, 0, -1, 1.5, 2**31, 2**64, -(2**63), [], {}, [[]], {"": None}, "1", *TEXTS]
RAW_VALUES = ["1e400", "-1e400", "1e-400", "NaN", "-Infinity", "01", "0x10", "+1", "tru", "'x'", "/**/1", "1,"]
RAW_VALUES += ["undefined", "-0", '"\\ud800"', '"\\u0000"', '"\\x"', '"\t"', '"a\\', "9" * 400, DIGITS, "-" + DIGITS]
RAW_VALUES += ["0." + DIGITS]
HEADERS = ["Last-Event-ID", "Idempotency-Key", "Origin", "Host", "X-Session-Id", "Content-Type", "Content-Encoding"]
HEADERS += ["Accept", "Accept-Encoding", "Cookie", "Range", "If-None-Match", "If-Modified-Since", "Expect"]
HEADERS += ["Connection", "Upgrade", "X-Forwarded-For", "X-Forwarded-Host", "Referer", "Trailer", "User-Agent"]
HEADERS += ["Access-Control-Request-Method", "Access-Control-Request-Headers", "Sec-WebSocket-Key", "X-X"]
HEADER_VALUES = [b"x", b"*", b"null", b"a,b,c", b"-1", b"0", b"1e400", b"%00", b"http://[", b"http://evil.example"]
HEADER_VALUES += [b"://", b"127.0.0.1:99999", b"[::1", b"localhost", b"::", b"text/html", b"gzip"]
HEADER_VALUES += [b"multipart/form-data", b"chunked", b"close", b"100-continue", b"websocket", b"bytes=0-"]
HEADER_VALUES += [b"bytes=99999999999-", b"", b" ", b"\t", b"\xff\xfe", b"\xc3\xa9", b"\xed\xa0\x80", "🧀".encode()]
HEADER_VALUES += [b"\x7f", b"\x00", b"a\x0bb", b'"', b"application/json; charset=utf-16", b"identity, chunked"]
HEADER_VALUES += [DIGITS.encode(), b"x" * 8_000, b"x" * 70_000]


@dataclass(frozen=True)
class OddRequest:
    """`head` says that no body will come back; `cut`: the client stops sending in the middle of it."""

    data: bytes
    head: bool = False
    cut: bool = False


def odd_request(random: Random, names: Names) -> OddRequest:
    method, path, example = random.choice(ROUTES)
    if random.random() < 0.15:
        method = random.choice(METHODS)
    headers = [(b"Host", b"127.0.0.1"), (b"Connection", b"close")]
    body = odd_body(random, example, names) if example is not None or random.random() < 0.2 else b""
    headers += [odd_header(random, names) for _ in range(random.choice([0, 0, 0, 1, 1, 2, 5]))]
    if random.random() < 0.02:
        headers += [(b"X-Many", b"x")] * random.choice([50, 500])
    if random.random() < 0.05:
        headers = [(name, value) for name, value in headers if name != b"Host"]
    framing, sent, cut = framed(random, body)
    target = odd_target(random, path, names).encode("utf-8", "surrogatepass")
    version = b"HTTP/1.1" if random.random() < 0.97 else random.choice([b"HTTP/1.0", b"HTTP/9.9", b"HTTP/0.9", b"XTTP"])
    lines = [method.encode() + b" " + target + b" " + version]
    lines += [name + b": " + value for name, value in headers + framing]
    end = random.choice([b"\r\n"] * 40 + [b"\n", b"\r"])
    # With a carriage return alone, the head of the request never ends.
    return OddRequest(end.join([*lines, b"", b""]) + sent, head=method == "HEAD", cut=cut or end == b"\r")


def odd_target(random: Random, path: str, names: Names) -> str:
    if random.random() < 0.15:
        path = "/".join(random.choice(SEGMENTS) if part.startswith("{") else part for part in path.split("/"))
    if random.random() < 0.05:
        path = random.choice(
            [path + "/" + random.choice(SEGMENTS), "/" + random.choice(SEGMENTS), path.rstrip("/"), "//" + path]
        )
    queries = random.sample(QUERIES, random.choice([0, 0, 1, 2, 3]))
    if path == "/messages/" and random.random() < 0.7:
        queries.insert(0, "chat_id={chat_id}")
    if random.random() < 0.4:
        queries = [
            query.partition("=")[0] + "=" + random.choice(VALUES) if random.random() < 0.5 else query
            for query in queries
        ]
    if random.random() < 0.03:
        queries += random.choice([["&&&"], ["=x"], ["?"], ["limit=1"] * 300, ["x=" + "y" * 60_000], ["%"]])
    target = path + ("?" + "&".join(queries) if queries else "")
    for name, value in names.items():
        target = target.replace(f"{{{name}}}", value)
    return target.replace(" ", "%20") if random.random() < 0.9 else target


def odd_header(random: Random, names: Names) -> tuple[bytes, bytes]:
    name = random.choice(HEADERS)
    if name == "Last-Event-ID" and random.random() < 0.6:
        number = random.choice(["0", "3", "-1", "1.5", "", DIGITS, "9" * 30, "٣"])
        return name.encode(), f"{names['turn_id']}:{number}".encode()
    if random.random() < 0.03:
        return random.choice([b"", b" ", b"a b", b"\xff", b"x" * 9_000, b"X\x00Y"]), b"x"
    return name.encode(), random.choice(HEADER_VALUES)


def framed(random: Random, body: bytes) -> tuple[list[tuple[bytes, bytes]], bytes, bool]:
    """The headers that say how long the body is, what is sent for it, and whether that is less than they say."""
    kind = random.random()
    if kind < 0.6:
        return ([(b"Content-Length", str(len(body)).encode())] if body else []), body, False
    if kind < 0.7:
        return [(b"Content-Length", str(len(body) + random.choice([1, 10, 10_000])).encode())], body, True
    if kind < 0.75 and body:
        return [(b"Content-Length", str(random.randrange(len(body))).encode())], body, False
    if kind < 0.8:
        return (
            [(b"Content-Length", random.choice([b"-1", b"+1", b"0x10", b"1e3", DIGITS.encode(), b"", b"1, 2"]))],
            body,
            True,
        )
    if kind < 0.83:
        return [(b"Content-Length", b"1"), (b"Content-Length", b"2")], body, True
    chunks = chunked(random, body)
    headers = [
        (b"Transfer-Encoding", random.choice([b"chunked"] * 8 + [b"gzip, chunked", b"chunked, chunked", b"xchunked"]))
    ]
    if kind < 0.87:
        headers.append((b"Content-Length", str(len(body)).encode()))
    if kind < 0.92:
        return headers, chunks[: random.randrange(len(chunks))], True
    if kind < 0.94:
        return headers, chunks.replace(b"\r\n", random.choice([b"\n", b"\r\n\r\n", b"zz\r\n"]), 1), True
    return headers, chunks, False


def chunked(random: Random, body: bytes) -> bytes:
    parts = []
    while body:
        size = random.choice([1, len(body) // 2 + 1, len(body)])
        parts.append(b"%x%s\r\n%s\r\n" % (len(body[:size]), random.choice([b"", b"", b";x=y"]), body[:size]))
        body = body[size:]
    return b"".join(parts) + b"0\r\n\r\n"


# Bodies


def odd_body(random: Random, example: Any, names: Names) -> bytes:
    value = json.loads(json.dumps(example if isinstance(example, dict) else {"content": "Hi"}))
    if "messages" in value:
        value["messages"] = [MESSAGE | {"id": str(n)} for n in range(random.choice([0, 1, 3]))]
    if "chat_id" in value and random.random() < 0.5:
        value["chat_id"] = names["chat_id"]
    return random.choice(BODIES)(random, value)


def as_it_is(random: Random, value: Any) -> bytes:
    return json.dumps(value).encode()


def with_another_value(random: Random, value: Any) -> bytes:
    place = random_place(random, value)
    place[random.choice([*place, "new"])] = random.choice(JSON_VALUES)
    return json.dumps(value).encode()


def with_a_raw_value(random: Random, value: Any) -> bytes:
    place = random_place(random, value)
    place[random.choice([*place, "new"])] = "RAW"
    return json.dumps(value).replace('"RAW"', random.choice(RAW_VALUES)).encode()


def random_place(random: Random, value: Any) -> dict[str, Any]:
    """An object in the value."""
    inner = [one for one in value.values() if isinstance(one, dict)]
    inner += [one for some in value.values() if isinstance(some, list) for one in some if isinstance(one, dict)]
    return random.choice([value, value, *inner])


def truncated(random: Random, value: Any) -> bytes:
    data = json.dumps(value).encode()
    return data[: random.randrange(len(data))]


def in_another_encoding(random: Random, value: Any) -> bytes:
    text = json.dumps(value | {"content": "Grüße 🧀", "title": "Grüße"}, ensure_ascii=False)
    encoding = random.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "utf-7", "utf-8-sig", "cp1252"])
    return text.encode(encoding, "replace")


def compressed(random: Random, value: Any) -> bytes:
    return gzip.compress(json.dumps(value).encode(), mtime=0)


def with_broken_bytes(random: Random, value: Any) -> bytes:
    data = bytearray(json.dumps(value).encode())
    for _ in range(random.choice([1, 1, 2, 5, 20])):
        at = random.randrange(len(data))
        data[at : at + random.choice([0, 1])] = random.choice(
            [b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5", b'"', b"{", b"\\"]
        )
    return bytes(data)


def deep(random: Random, value: Any) -> bytes:
    begin, end = random.choice([("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
    depth = random.choice([100, 1_000, DEEP // len(begin)])
    nested = begin * depth + random.choice(["1", ""]) + random.choice([end, ""]) * depth
    return random.choice([nested, json.dumps(value)[:-1] + ', "more": ' + nested + "}"]).encode()


def with_doubled_keys(random: Random, value: Any) -> bytes:
    inside = json.dumps(value)[1:-1]
    return ("{" + ", ".join([inside] * random.choice([2, 3, 50])) + "}").encode()


def wide(random: Random, value: Any) -> bytes:
    more = {f"key {n}": n for n in range(random.choice([100, 10_000]))}
    return json.dumps(value | more).encode()


def no_object(random: Random, value: Any) -> bytes:
    return random.choice(
        [b"null", b"[]", b"1", b'"x"', b"true", b"", b" ", b"\n", b"{}", b"\xef\xbb\xbf{}", b"{}{}", b"\x00"]
    )


def noise(random: Random, value: Any) -> bytes:
    return random.randbytes(random.choice([1, 10, 1_000, 50_000]))


def form(random: Random, value: Any) -> bytes:
    return random.choice(
        [b"content=Hi", b"--x\r\nContent-Disposition: form-data; name=content\r\n\r\nHi\r\n--x--", b"<a>Hi</a>"]
    )


def large(random: Random, value: Any) -> bytes:
    return json.dumps(value | {"more": "x" * random.choice([200_000, 500_000])}).encode()


BODIES: Sequence[Callable[[Random, Any], bytes]] = [
    as_it_is,
    *[with_another_value] * 3,
    *[with_a_raw_value] * 3,
    truncated,
    in_another_encoding,
    compressed,
    with_broken_bytes,
    deep,
    with_doubled_keys,
    wide,
    no_object,
    noise,
    form,
    large,
]


# The websocket


def odd_message(random: Random, names: Names) -> str | bytes:
    """A text or a binary message."""
    examples = [
        {"content": "Say hello", "chat_id": None},
        {"resume": {"turn_id": names["turn_id"], "after": 3}},
        {"stop": names["turn_id"]},
        {"content": "Hi", "stop": names["turn_id"]},
    ]
    data = odd_body(random, random.choice(examples), names)
    return data if random.random() < 0.3 else data.decode("utf-8", "replace")


def odd_frames(random: Random) -> bytes:
    """What comes after the handshake: frames that are broken, or none at all."""
    payload = random.choice([b"", b"Hi", b'{"content": "Hi"}', b"\xff\xfe", b"\xed\xa0\x80", random.randbytes(200)])
    frames = b"".join(frame(random, payload) for _ in range(random.choice([1, 2, 5])))
    return random.choice([frames, frames, frames[: random.randrange(len(frames))], random.randbytes(100)])


def frame(random: Random, payload: bytes) -> bytes:
    """RFC 6455, 5.2: final or not, reserved bits, any opcode, a length that may be a lie, masked or not."""
    first = random.choice([0x81, 0x82, 0x01, 0x80, 0x00, 0x89, 0x8A, 0x88, 0x83, 0x8F, 0xF1, 0xC1])
    length = random.choice([len(payload)] * 6 + [125, 2**40])
    masked = random.random() < 0.85
    size = bytes([length]) if length < 126 else b"\x7f" + length.to_bytes(8)
    head = bytes([first, size[0] | (0x80 if masked else 0)]) + size[1:]
    if not masked:
        return head + payload
    mask = random.randbytes(4)
    return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
