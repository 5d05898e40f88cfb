"""Passwords: which ones are taken, and their hashes (Argon2id, as RFC 9106 recommends where memory is scarce)."""

import asyncio
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chat_app.errors import InvalidRequest

SHORTEST, LONGEST = 8, 1_000
AT_ONCE = 2
"""A hash takes 64 MB and a core for some 50 ms: more of them wait."""

_hasher = PasswordHasher()
_turn = asyncio.Semaphore(AT_ONCE)
_NOBODY = _hasher.hash("nobody's")
"""Checked where there is no such person, so that the answer takes as long."""


def check(password: str) -> str:
    """The password as it is hashed; keyboards write the same letter in more than one way. Raises InvalidRequest."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidRequest(f"A password has at least {SHORTEST} characters, and at most {LONGEST:,}. Choose another.")
    return unicodedata.normalize("NFC", password)


def hashed(password: str) -> str:
    """Raises InvalidRequest."""
    return _hasher.hash(check(password))


async def hash_aside(password: str) -> str:
    """The same, beside the event loop."""
    check(password)
    async with _turn:
        return await asyncio.to_thread(hashed, password)


async def fits(password: str, known: str | None) -> bool:
    """Whether it is the one of this hash; without one it is not, after the same work."""
    async with _turn:
        return await asyncio.to_thread(_fits, password[:LONGEST], known or _NOBODY) and known is not None


def _fits(password: str, known: str) -> bool:
    try:
        return _hasher.verify(known, unicodedata.normalize("NFC", password))
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False
