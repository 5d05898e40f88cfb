"""API keys: what a server with accounts knows a program by."""

from .events import ClientError

API_KEY = "RILL_API_KEY"
"""Of the environment."""
HOW = "Make one on the server's page /account, or there by `python -m chat_app key add NAME --scope chat`"


def authorization(key: str) -> dict[str, str]:
    """The header. Raises ClientError ("bad_key"): it could not be sent."""
    if not key.isascii() or not (key or "-").isprintable() or " " in key:
        raise ClientError("bad_key", "The API key holds characters that none has. Copy it again.")
    return {"Authorization": f"Bearer {key}"} if key else {}


def unknown(error: ClientError, *, with_key: bool) -> ClientError:
    """What a 401 means to a program, which cannot sign in."""
    if with_key:
        sentence = f"The server does not know this API key; it may have been revoked. {HOW}."
    else:
        sentence = f"The server needs an API key. {HOW}, and set {API_KEY}, or give it as `api_key`."
    return ClientError(error.code, sentence, False, error.status)
