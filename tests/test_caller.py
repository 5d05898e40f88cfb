"""Who asks, as a scope says it."""

import pytest

from chat_app.caller import LOCAL, Caller, Kind, caller_of
from chat_app.errors import NotSignedIn


def test_without_accounts_everybody_is_the_local_person() -> None:
    assert caller_of({"type": "http"}) is LOCAL


def test_the_caller_is_in_the_scope() -> None:
    ann = Caller("ann", "Ann", Kind.person)

    assert caller_of({"type": "websocket", "caller": ann}) is ann


def test_an_entry_of_nobody_is_not_the_local_person() -> None:
    with pytest.raises(NotSignedIn):
        caller_of({"type": "http", "caller": None})
