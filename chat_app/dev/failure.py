"""Serves what is wrong in the place of a server that could not start, at its port, until it is tried again."""

import hashlib
import socket
import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from typing import Any

from chat_app.api.policy import inline_hashes
from chat_app.config import Settings
from chat_app.dev.reload import STATE, script

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The app could not start</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 60rem; margin: 12vh auto; padding: 0 1.5rem; }}
h1 {{ font-size: 1.25rem; font-weight: 600; }}
pre {{ font: .875rem/1.6 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  background: color-mix(in srgb, currentColor 6%, transparent); border-radius: .75rem; padding: 1rem 1.25rem; }}
</style>
<script>{script}</script>
</head>
<body>
<main role="alert">
<h1>The app could not start</h1>
<pre>{said}</pre>
<p>Correct it and save. This page then loads by itself.</p>
</main>
</body>
</html>
"""
POLICY = (
    "default-src 'none'; script-src {script}; "
    "style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'self'"
)


class Failure:
    def __init__(self, listening: socket.socket, said: str, settings: Settings) -> None:
        # The next fault has another page.
        shown = f"failed {hashlib.sha256(said.encode()).hexdigest()}"
        html = PAGE.format(script=script(shown), said=escape(said))
        policy = POLICY.format(script=inline_hashes(html)[0])

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if self.raw_requestline and self.parse_request():
                    self._tell()

            def _tell(self) -> None:
                if not settings.knows_host(self.headers.get("host", "")):
                    # Lines of somebody's code are not for other sites.
                    return self._send(403, "text/plain", "This host is not served here.")
                if self.path == STATE:
                    return self._send(200, "application/json", dumps({"page": shown}))
                if "text/html" in self.headers.get("accept", ""):
                    return self._send(500, "text/html", html)
                error = {"code": "not_started", "message": said.strip(), "retryable": True}
                self._send(500, "application/json", dumps({"error": error}))

            def _send(self, status: int, kind: str, text: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", policy)
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Who asked has left."""

        address = listening.getsockname()[:2]
        self._server = Quiet(address, Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listening.dup()
        threading.Thread(target=self._server.serve_forever, args=[0.1], daemon=True).start()

    def close(self) -> None:
        """The socket itself stays open, for the next server."""
        self._server.shutdown()
        self._server.server_close()
