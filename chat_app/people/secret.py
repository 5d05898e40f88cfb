"""The server's own secret, with which it signs what it will believe later: a file of random bytes."""

import os
import secrets
from pathlib import Path

from sqlalchemy.engine import make_url

from chat_app.config import ROOT, Settings
from chat_app.errors import CannotStart

BYTES = 32


def secret_file(settings: Settings) -> Path:
    """Beside the database, where that is a file."""
    if settings.secret_key_file:
        return settings.secret_key_file
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        return Path(url.database).with_suffix(".key")
    return ROOT / "data" / "chat.key"


def load_secret(settings: Settings) -> bytes:
    """Made at the first start. Raises CannotStart."""
    file = secret_file(settings)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # Of two that make it at once, one does.
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            secret = file.read_bytes()
        else:
            secret = secrets.token_bytes(BYTES)
            with os.fdopen(descriptor, "wb") as made:
                made.write(secret)
    except OSError as problem:
        raise CannotStart(
            f"The server's secret cannot be kept in {file} ({problem.strerror}). Set SECRET_KEY_FILE to a file that "
            "it may write."
        ) from problem
    if len(secret) < BYTES:
        raise CannotStart(f"The server's secret in {file} is too short. Remove the file; the next start makes another.")
    return secret
