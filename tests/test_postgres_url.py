"""A PostgreSQL address as hosters write it. That a server takes what comes of it is in test_troubles.py."""

from typing import Any

import pytest
from sqlalchemy.engine import make_url

from chat_app.store.postgres_url import split

ADDRESS = "postgresql+asyncpg://person:p%40ss@db.example:5433/chats"


@pytest.mark.parametrize(
    ("query", "kept", "arguments"),
    [
        ("", {}, {}),
        ("sslmode=require", {}, {"dsn": "postgresql://?sslmode=require"}),
        # SQLAlchemy's word for it.
        ("ssl=require", {}, {"dsn": "postgresql://?sslmode=require"}),
        ("application_name=rill%20a", {}, {"dsn": "postgresql://?application_name=rill+a"}),
        # What a connection is as safe without.
        ("channel_binding=require&connect_timeout=5&keepalives=1&pgbouncer=true", {}, {}),
        ("host=/run/pg&port=6", {"host": "/run/pg", "port": "6"}, {}),
        (
            "prepared_statement_cache_size=0&sslmode=disable",
            {"prepared_statement_cache_size": "0"},
            {"dsn": "postgresql://?sslmode=disable"},
        ),
    ],
)
def test_what_is_behind_the_question_mark_goes_to_who_understands_it(
    query: str, kept: dict[str, str], arguments: dict[str, Any]
) -> None:
    url, given = split(make_url(f"{ADDRESS}?{query}"))
    assert dict(url.query) == kept
    assert given == arguments
    assert url.set(query={}) == make_url(ADDRESS)
