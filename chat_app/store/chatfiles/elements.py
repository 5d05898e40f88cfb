"""The chats of a JSON file one at a time, however many there are: only one is in memory. Pure."""

import json
import re
from collections.abc import Iterator
from json import JSONDecodeError
from typing import Any, TextIO

from chat_app.errors import InvalidRequest
from chat_app.store.chatfile import MAX_FILE_CHARS

CHUNK_CHARS = 1 << 18
# How an export of all chats begins.
_ENVELOPE = re.compile(r'\{\s*"version"\s*:\s*1\s*,\s*"chats"\s*:\s*\[')
# A byte order mark too: some programs put one in front of a file that has one.
_SPACE = re.compile("[ \t\n\r\ufeff]*")
# What an error at the end of what was read may say, though the file goes on.
_END_CHARS = 16


def damaged(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The file is no valid JSON ({reason}). It may have been cut off; export it again.")


class Elements:
    """Iterates over `(value, its JSON)`: the elements of an array, of the `chats` of an export, or the only value."""

    def __init__(self, source: TextIO, max_chars: int = MAX_FILE_CHARS) -> None:
        self.many = False
        self._source = source
        self._max_chars = max_chars
        self._text = ""
        self._at = 0
        self._all_read = False
        self._decode = json.JSONDecoder().raw_decode

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        first = self._next_char()
        if envelope := _ENVELOPE.match(self._text, self._at):
            self.many, self._at = True, envelope.end()
            yield from self._array()
            self._expect("}")
        elif first == "[":
            self.many, self._at = True, self._at + 1
            yield from self._array()
        else:
            yield self._value()
        if self._next_char():
            raise damaged("there is more after its end")

    def _array(self) -> Iterator[tuple[Any, str]]:
        if self._next_char() == "]":
            self._at += 1
            return
        while True:
            yield self._value()
            if self._next_char() == "]":
                self._at += 1
                return
            self._expect(",")

    def _value(self) -> tuple[Any, str]:
        self._next_char()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except JSONDecodeError as error:
                self._read_on_after(error)
            except RecursionError:
                raise damaged("its values are nested too deeply") from None
            except ValueError:
                raise damaged("it has a number of thousands of digits") from None
            else:
                start, self._at = self._at, end
                return value, self._text[start:end]

    def _read_on_after(self, error: JSONDecodeError) -> None:
        """More of a value that was not whole; what no text after it could mend is an error."""
        at_the_end = error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _END_CHARS
        if self._all_read or not at_the_end:
            raise damaged(error.msg) from None
        if len(self._text) - self._at > self._max_chars:
            raise InvalidRequest(f"The chat is too large; at most {self._max_chars:,} characters of one are read.")
        self._read_on()

    def _read_on(self) -> None:
        """As much again as is there: what is read anew with each step would else grow with the square."""
        rest = self._text[self._at :]
        try:
            more = self._source.read(max(CHUNK_CHARS, len(rest)))
        except UnicodeError:
            raise damaged("it is no text in UTF-8") from None
        self._text, self._at, self._all_read = rest + more, 0, not more

    def _next_char(self) -> str:
        """The next one that is no white space; "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._all_read:
                return self._text[self._at : self._at + 1]
            self._read_on()

    def _expect(self, char: str) -> None:
        if self._next_char() != char:
            raise damaged(f"a {char} is missing")
        self._at += 1
