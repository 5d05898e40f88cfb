"""A PostgreSQL address, as libpq's programs and hosters write it, in terms of SQLAlchemy and asyncpg. Pure."""

from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL

# Those SQLAlchemy understands.
_ITS_OWN = {"host", "port", "prepared_statement_cache_size"}
# What asyncpg has no word for; without it the connection is as safe.
_LEFT_OUT = {"channel_binding", "connect_timeout", "gssencmode", "keepalives", "keepalives_idle", "pgbouncer"}


def split(url: URL) -> tuple[URL, dict[str, Any]]:
    """The address alone, and asyncpg's arguments for what is behind its question mark, such as `sslmode=require`."""
    query = url.query
    rest = {name: value for name, value in query.items() if name not in _ITS_OWN | _LEFT_OUT}
    # asyncpg reads libpq's names in an address only; what it does not know it hands to the server, as libpq does.
    # SQLAlchemy's own word for `sslmode`.
    rest |= {"sslmode": mode} if (mode := rest.pop("ssl", None)) else {}
    arguments = {"dsn": f"postgresql://?{urlencode(rest, doseq=True)}"} if rest else {}
    return url.set(query={name: value for name, value in query.items() if name in _ITS_OWN}), arguments
