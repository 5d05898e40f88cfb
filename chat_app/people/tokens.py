"""What only its holder knows: random, stored as a hash alone. Pure."""

import hashlib
import hmac
import secrets

BYTES = 32


def new_token(prefix: str = "") -> str:
    """256 random bits, for an address, a cookie or a header."""
    return prefix + secrets.token_urlsafe(BYTES)


def digest(token: str) -> str:
    """What is stored of it. A slow hash is for what people think up: of so many random bits nobody tries them all."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def signed(secret: bytes, purpose: str, value: str) -> str:
    """A signature of `value` that counts for this purpose only."""
    return hmac.new(secret, f"{purpose}\0{value}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compared in a time that does not tell how much of them is alike."""
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape"))
