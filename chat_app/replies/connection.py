"""A connection to a provider, read with as little work a token as can be. Beneath `httpcore2`, which has no setting for
the classes of a connection: its own are replaced by `install`. The versions are pinned, and tests look.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import anyio
import h11
import httpcore2
import httpcore2._async.connection
import httpcore2._backends.anyio
from anyio.abc import ByteStream, SocketStream
from h11._readers import ChunkedReader

SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
PART_OF_SIZE = re.compile(rb"[0-9A-Fa-f]{0,8}\r?\Z")
BUFFER_BYTES = 65_536
"""Of what nobody has read yet; at twice as many the provider has to wait."""


def install() -> None:
    httpcore2._async.connection.AsyncHTTP11Connection = AtOnce  # type: ignore[attr-defined]
    httpcore2._backends.anyio.AnyIOStream = Stream  # type: ignore[misc]


class Chunks:
    """A body in chunks (RFC 9112, 7.1), as far as they are plain: a size, so many bytes, nothing else."""

    def __init__(self) -> None:
        # Of the chunk under way, its line end too.
        self._left = 0
        # Of what can be understood only when it is whole: a size, or a line end.
        self._rest = b""

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        """What the body has of these bytes, and the bytes from which on it is not plain any more, as at its end.

        Raises `httpcore2.RemoteProtocolError`.
        """
        data, self._rest = self._rest + data, b""
        parts: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if not self._left:
                size = SIZE.match(data, at)
                if size is None and PART_OF_SIZE.match(data, at):
                    self._rest = data[at:]
                    return parts, None
                if size is None or not (length := int(size[1], 16)):
                    return parts, data[at:]
                at, self._left = size.end(), length + 2
            stop = at + self._left
            body = min(stop - 2, end)
            parts.append(data[at:body])
            if stop > end:
                self._left, self._rest = stop - body, data[body:]
                break
            if data[body:stop] != b"\r\n":
                raise httpcore2.RemoteProtocolError("A chunk of the body is longer than it says.")
            at, self._left = stop, 0
        return parts, None


class AtOnce(httpcore2.AsyncHTTP11Connection):
    """Gives all that one read of the socket brought as one piece of the body.

    httpcore2's own gives each chunk of HTTP's by itself, through five generators, and h11 takes each apart with a dozen
    calls: of a provider that writes a chunk a token that is more than all that the app does with a token.
    """

    async def _receive_response_body(self, request: httpcore2.Request) -> AsyncGenerator[bytes, None]:
        timeout = request.extensions.get("timeout", {}).get("read")
        if (data := self._beginning()) is not None:
            chunks, rest = Chunks(), None
            while rest is None:
                parts, rest = chunks.feed(data)
                if parts:
                    yield parts[0] if len(parts) == 1 else b"".join(parts)
                if rest is None and not (data := await self._network_stream.read(self.READ_NUM_BYTES, timeout=timeout)):
                    rest = b""
            self._h11_state.receive_data(rest)
        event: Any = h11.NEED_DATA
        while event is h11.NEED_DATA:
            event = await self._receive_event(timeout=timeout)
            parts = []
            while isinstance(event, h11.Data):
                parts.append(bytes(event.data))
                event = self._next()
            if parts:
                yield parts[0] if len(parts) == 1 else b"".join(parts)

    def _beginning(self) -> bytes | None:
        """What has come of a body in chunks, and is h11's no more; None: the body is another one."""
        if not isinstance(self._h11_state._reader, ChunkedReader):
            return None
        buffer = self._h11_state._receive_buffer
        return bytes(buffer.maybe_extract_at_most(len(buffer)) or b"")

    def _next(self) -> Any:
        """What has been read already. An error is `_receive_event`'s to raise: it comes again there."""
        try:
            return self._h11_state.next_event()
        except h11.RemoteProtocolError:
            return h11.NEED_DATA


class Waiting(anyio.TypedAttributeSet):
    """Whether something has come that nobody has read, or the end."""

    there: bool = anyio.typed_attribute()


class Socket(ByteStream):
    """A TCP connection that takes what comes when it comes, up to a limit.

    anyio's own tells the system before and after each read that it reads now, and not any more.
    """

    def __init__(self, stream: SocketStream, transport: asyncio.Transport) -> None:
        self._stream = stream
        self._reader = asyncio.StreamReader(BUFFER_BYTES)
        protocol = asyncio.StreamReaderProtocol(self._reader)
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, asyncio.get_running_loop())
        transport.resume_reading()

    @classmethod
    def over(cls, stream: SocketStream) -> ByteStream:
        """In place of anyio's, if nothing has happened to it yet."""
        transport, protocol = getattr(stream, "_transport", None), getattr(stream, "_protocol", None)
        if transport is None or protocol is None or transport.is_closing() or protocol.read_event.is_set():
            return stream
        return cls(stream, transport)

    async def receive(self, max_bytes: int = BUFFER_BYTES) -> bytes:
        try:
            data = await self._reader.read(max_bytes)
        except OSError as error:
            raise anyio.BrokenResourceError from error
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        try:
            self._writer.write(item)
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {**self._stream.extra_attributes, Waiting.there: self._is_there}

    def _is_there(self) -> bool:
        reader = self._reader
        return bool(reader._buffer) or reader.at_eof() or reader.exception() is not None  # type: ignore[attr-defined]


class Stream(httpcore2._backends.anyio.AnyIOStream):
    """Of httpcore2's, over a `Socket`, or over TLS over one. A read without a time limit sets up none."""

    def __init__(self, stream: ByteStream) -> None:
        super().__init__(Socket.over(stream) if isinstance(stream, SocketStream) else stream)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if timeout is not None:
            return await super().read(max_bytes, timeout)
        try:
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise httpcore2.ReadError(str(error)) from error

    def get_extra_info(self, info: str) -> Any:
        """`is_readable`: the server has closed an idle connection; what was read of it is not the system's any more."""
        if info == "is_readable" and self._stream.extra(Waiting.there, False):
            return True
        return super().get_extra_info(info)
