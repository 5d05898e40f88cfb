"""A real OpenID Connect provider, `oidc_provider_mock` with authlib's server side, over HTTP in the tests' own process.

Here it also checks PKCE, and may be told to answer as one that is broken into: `forge` changes what its ID tokens say,
`status` what its doors answer.
"""

import base64
import hashlib
import json
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import authlib.deprecate
import flask
import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

from tests.app import CLIENT

with warnings.catch_warnings():
    # `authlib.jose`, which is going to be another package.
    warnings.simplefilter("ignore", authlib.deprecate.AuthlibDeprecationWarning)
    import oidc_provider_mock

CLIENT_ID, CLIENT_SECRET = "rill", "s3cret/with+signs"
Claims = dict[str, Any]
Forge = Callable[[Claims, RSAKey], str]
"""The claims of an ID token and the provider's key, to the token that is sent."""


def signed(claims: Claims, key: RSAKey, alg: str = "RS256") -> str:
    return jwt.encode({"alg": alg}, claims, key, algorithms=[alg])


class Provider:
    def __init__(self) -> None:
        self.forge: Forge | None = None
        self.status: dict[str, int] = {}
        self.about: Claims = {}
        """What it says of itself in another way."""
        self.asked: list[str] = []
        self._new_key = False
        self._challenges: dict[str, str] = {}
        self.app = oidc_provider_mock.app()
        self.app.debug = False
        self.app.before_request(self._before)
        self.app.after_request(self._after)
        self.server = make_server("127.0.0.1", 0, self.app, threaded=True)
        self.issuer = f"http://localhost:{self.server.port}"

    def person(self, sub: str, **claims: Any) -> None:
        httpx.put(f"{self.issuer}/users/{sub}", json=claims, **CLIENT).raise_for_status()

    def authorize(self, address: str, sub: str | None) -> str:
        """What somebody does in a browser whom we led there: sign in, or go back (None). Returns where they are led."""
        form = {"sub": sub} if sub else {"action": "deny"}
        response = httpx.post(address, data=form, **CLIENT)
        assert response.status_code == 302, response.text
        return response.headers["location"]

    def new_key(self) -> None:
        self._new_key = True

    def _before(self) -> Any:
        path = flask.request.path
        self.asked.append(path)
        if self._new_key:
            self._new_key = False
            flask.g.oidc_provider_mock_storage.jwk = type(flask.g.oidc_provider_mock_storage.jwk).generate_key(
                is_private=True
            )
        if status := self.status.get(path):
            return flask.Response("down", status)
        if path == "/oauth2/token":
            return self._refusal()
        return None

    def _refusal(self) -> Any:
        form, given = flask.request.form, flask.request.authorization
        client = (given.username, given.password) if given else (form.get("client_id"), form.get("client_secret"))
        if client != (CLIENT_ID, CLIENT_SECRET):
            return flask.jsonify(error="invalid_client"), 401
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if self._challenges.get(form["code"]) != challenge:
            return flask.jsonify(error="invalid_grant"), 400
        return None

    def _after(self, response: flask.Response) -> flask.Response:
        if flask.request.path == "/.well-known/openid-configuration":
            response.data = json.dumps(response.json | self.about)
        if code := parse_qs(urlsplit(response.headers.get("location", "")).query).get("code"):
            self._challenges[code[0]] = flask.request.args["code_challenge"]
        if flask.request.path == "/oauth2/token" and self.forge and response.status_code == 200:
            key = RSAKey.import_key(flask.g.oidc_provider_mock_storage.jwk.as_dict(is_private=True))
            tokens = response.json
            tokens["id_token"] = self.forge(jwt.decode(tokens["id_token"], key).claims, key)
            response.data = json.dumps(tokens)
        return response


@contextmanager
def running() -> Iterator[Provider]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    provider = Provider()
    serving = threading.Thread(target=provider.server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        serving.join()
        provider.server.server_close()
