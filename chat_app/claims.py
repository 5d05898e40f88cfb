"""What an OpenID Connect provider says of a person, as claims: which of them give a right, and what the person is
called. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from chat_app.names import clean_name

NAMES = ("preferred_username", "name", "email")


class Claim(NamedTuple):
    """As a setting asks for it, such as `groups=rill-admins`."""

    name: str
    value: str


def claims_in(text: str) -> tuple[Claim, ...]:
    """Of `groups=rill-admins, email=ada@example.org`. Raises ValueError."""
    given = [part.strip() for part in text.split(",") if part.strip()]
    pairs = [tuple(map(str.strip, part.partition("=")[::2])) for part in given]
    for part, pair in zip(given, pairs, strict=True):
        if not all(pair):
            raise ValueError(f"{part!r} is no claim with its value; use for example groups=rill-admins")
    return tuple(Claim(name, value) for name, value in pairs)


def has_one(claims: Mapping[str, Any], wanted: Iterable[Claim]) -> bool:
    """Whether one of these is true of a person. A list, such as `groups`, has to hold the value."""
    return any(claim.value in _values(claims, claim.name) for claim in wanted)


def names_of(claims: Mapping[str, Any]) -> list[str]:
    """What this person may be called, the best first. None of it is proof of who this is: only `sub` is."""
    names = [name for claim in NAMES if isinstance(given := claims.get(claim), str) and (name := clean_name(given))]
    return names or [clean_name(claims["sub"])]


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    # Else it is what somebody wrote into a form there.
    if name == "email" and str(claims.get("email_verified")).lower() != "true":
        return []
    found = claims.get(name, _within(claims, name))
    return [_written(one) for one in (found if isinstance(found, list) else [found])]


def _within(claims: Any, path: str) -> Any:
    """`realm_access.roles` is `roles` in `realm_access`, as Keycloak has it."""
    for part in path.split("."):
        claims = claims.get(part) if isinstance(claims, Mapping) else None
    return claims


def _written(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
