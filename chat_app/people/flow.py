"""A sign-in that is under way at a provider: bound to the browser that began it, and kept nowhere. Pure.

The browser holds a random cookie. All else follows from it, the server's secret and the `state` that comes back: so a
sign-in that somebody else began, in another browser, leads nowhere.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from chat_app.people.addresses import own_address
from chat_app.people.tokens import new_token, same, signed

LASTS_S = 600.0
"""How long somebody may take to sign in at the provider."""
MOST_CHARS = 1_000
"""Of the address that is gone back to; servers refuse addresses that are much longer."""


class Stale(ValueError):
    """The state is not of this browser, or is too old."""


@dataclass(frozen=True, slots=True)
class Flow:
    """`verifier` is PKCE's; `address` is where this person goes then."""

    state: str
    nonce: str
    verifier: str
    address: str


def begin(secret: bytes, browser: str, address: str, now: float) -> Flow:
    """`browser` is what its cookie holds."""
    address = address if len(address) <= MOST_CHARS else "/"
    told = urlsafe_b64encode(json.dumps([new_token(), now, address]).encode()).decode()
    return _flow(secret, browser, f"{told}.{_signature(secret, browser, told)}", address)


def resume(secret: bytes, browser: str, state: str, now: float) -> Flow:
    """Raises Stale."""
    told, _, signature = state.partition(".")
    if not browser or not same(signature, _signature(secret, browser, told)):
        raise Stale
    _, began, address = json.loads(urlsafe_b64decode(told))
    if not 0 <= now - began <= LASTS_S:
        raise Stale
    return _flow(secret, browser, state, own_address(address))


def _flow(secret: bytes, browser: str, state: str, address: str) -> Flow:
    nonce, verifier = (signed(secret, purpose, f"{browser} {state}") for purpose in ("OIDC nonce", "OIDC verifier"))
    return Flow(state, nonce, verifier, address)


def _signature(secret: bytes, browser: str, told: str) -> str:
    return signed(secret, "OIDC state", f"{browser} {told}")
