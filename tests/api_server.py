"""Serves `tests.api_app` as `python -m chat_app` serves the app; it loads nothing else, so that it ends at once too."""

from chat_app import server
from chat_app.config import load_settings

if __name__ == "__main__":
    settings = load_settings()
    server.serve("tests.api_app:app", host=settings.host, port=settings.port, grace=settings.shutdown_grace)
