"""Reflex's configuration; what an operator sets comes from `chat_app.config`."""

import reflex as rx

from chat_app.config import load_settings
from chat_app.ui.build import SameOriginPlugin, StylesPlugin
from chat_app.ui.embed_build import EmbedPlugin

settings = load_settings()

# Tailwind finds the classes of streamdown's own components here, and their colours are ours (assets/chat.css).
COLOURS = ["background", "foreground", "card", "muted", "muted-foreground", "border", "input", "primary", "sidebar"]
TAILWIND = {
    "content": [
        "./app/**/*.{js,ts,jsx,tsx}",
        "./app_components/**/*.{js,ts,jsx,tsx}",
        "./utils/**/*.{js,ts,jsx,tsx}",
        "./public/**/*.{js,jsx}",
        "./node_modules/streamdown/dist/*.js",
        "./node_modules/@streamdown/code/dist/*.js",
    ],
    # Streamdown's dark colours go with the theme of the page, which need not be the system's.
    "darkMode": "class",
    "theme": {"extend": {"colors": {name: f"var(--{name})" for name in COLOURS}}},
}

config = rx.Config(
    app_name="chat_app",
    backend_host=settings.host,
    frontend_port=settings.port,
    cors_allowed_origins=settings.origins,
    # Everything in a state is rebuilt from the database and the turn's log, so memory is enough.
    state_manager_mode="memory",
    telemetry_enabled=False,
    # In development it would run each effect twice.
    react_strict_mode=False,
    show_built_with_reflex=False,
    plugins=[StylesPlugin(TAILWIND), SameOriginPlugin(), EmbedPlugin()],
    disable_plugins=[rx.plugins.SitemapPlugin],
)
