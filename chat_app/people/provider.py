"""An OpenID Connect provider: where people sign in, and who it says they are.

The code flow with PKCE (OpenID Connect Core 1.0, RFC 7636), and nothing of what it answers is believed unchecked: its
ID token has to be signed by a key of its own, for this server, for this sign-in, and be of now.
"""

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry

from chat_app import logs
from chat_app.address import is_loopback
from chat_app.config import Settings
from chat_app.errors import CannotStart, shown
from chat_app.people.trouble import SignInFailed, Trouble
from chat_app.proxy import proxy_for

DISCOVERY = "/.well-known/openid-configuration"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Of signatures that the provider alone can make. Not `none`, nor those that anybody makes who has a public key."""
LEEWAY_S = 60
"""So much may its clock differ from ours."""
TIMEOUT_S = 10.0
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
UNREACHABLE = (httpx2.HTTPError, httpx2.InvalidURL, OSError)
NOT_OURS = {"invalid_client", "unauthorized_client"}


class Provider:
    """That of OIDC_ISSUER."""

    def __init__(self, settings: Settings) -> None:
        assert settings.oidc_issuer and settings.oidc_client_id
        self._settings = settings
        self.issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else None
        self._about: Mapping[str, Any] = {}
        self._keys: KeySet | None = None
        # Certificates are read once: it takes longer than a request. From the environment too (SSL_CERT_FILE).
        self._tls = httpx2.create_ssl_context(trust_env=True)

    @property
    def host(self) -> str:
        """As people are told of it."""
        return urlsplit(self.issuer).netloc.rpartition("@")[2]

    async def discover(self) -> None:
        """Learn where its doors are, and whether it knows this server. Raises CannotStart."""
        url = self.issuer + DISCOVERY
        try:
            async with self._client(url) as client:
                response = await client.request("GET", url, withhold_token=True)
            about = response.raise_for_status().json()
        except (*UNREACHABLE, ValueError) as problem:
            raise CannotStart(
                f"OIDC_ISSUER={self.issuer} tells nothing about itself at {url} ({_reason(problem)}). "
                "Set it to the address of an OpenID Connect provider that this server can reach."
            ) from problem
        self._about = self._believable(about)
        await self._must_know_us()

    def address(self, back: str, state: str, nonce: str, verifier: str) -> str:
        """Where somebody signs in; they come `back` to our address with the same `state`."""
        url = self._about["authorization_endpoint"]
        made, _ = self._client(url).create_authorization_url(
            url,
            state=state,
            nonce=nonce,
            code_verifier=verifier,
            redirect_uri=back,
            scope=self._settings.oidc_scopes,
        )
        return str(made)

    async def claims(self, code: str, back: str, nonce: str, verifier: str) -> dict[str, Any]:
        """What it says of the person who brought us this code, as claims with `sub`. Raises SignInFailed."""
        try:
            token = await self._exchanged(code, back, verifier)
            claims = await self._checked(token, nonce)
            return await self._more(token, claims["sub"]) | claims
        except UNREACHABLE as problem:
            raise SignInFailed(Trouble.unreachable, _reason(problem)) from problem
        except AuthlibBaseError as problem:
            raise SignInFailed(Trouble.failed, f"the provider says {problem.error}") from problem
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise SignInFailed(Trouble.failed, _reason(problem)) from problem

    def is_from_it(self, issuer: str | None) -> bool:
        """Whether an answer is this provider's, by its `iss` (RFC 9207): no other one's code is brought here."""
        if issuer is None:
            return not self._about.get("authorization_response_iss_parameter_supported")
        return bool(issuer == self._about["issuer"])

    def sign_out_address(self, back: str) -> str | None:
        """Where somebody signs out of the provider too; None: it has no such place."""
        if not (url := self._about.get("end_session_endpoint")):
            return None
        query = urlencode({"client_id": self._client_id, "post_logout_redirect_uri": back})
        return f"{url}{'&' if urlsplit(url).query else '?'}{query}"

    def _client(self, url: str) -> AsyncOAuth2Client:
        """For one request to it."""
        methods = self._about.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        secret_goes = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return AsyncOAuth2Client(
            self._client_id,
            self._secret,
            token_endpoint_auth_method=secret_goes if self._secret else "none",
            code_challenge_method="S256",
            # As the model's provider is reached (`replies/http.py`).
            proxy=proxy_for(url),
            trust_env=False,
            verify=self._tls,
            timeout=TIMEOUT_S,
        )

    def _believable(self, about: Any) -> Mapping[str, Any]:
        """Raises CannotStart."""
        if not isinstance(about, dict) or not isinstance(about.get("issuer"), str):
            raise CannotStart(f"What answers at OIDC_ISSUER={self.issuer} is no OpenID Connect provider.")
        if about["issuer"].rstrip("/") != self.issuer:
            raise CannotStart(
                f"The provider at OIDC_ISSUER={self.issuer} calls itself {shown(about['issuer'])}. Set OIDC_ISSUER to "
                "that, if it is the one that you mean."
            )
        for name in (*NEEDED, *({"userinfo_endpoint", "end_session_endpoint"} & about.keys())):
            if not _is_safe(about.get(name)):
                raise CannotStart(f"The provider at OIDC_ISSUER={self.issuer} has no safe {name}. Ask who runs it.")
        offered = about.get("id_token_signing_alg_values_supported") or ALGORITHMS
        if not set(ALGORITHMS) & set(offered):
            raise CannotStart(
                f"The provider at OIDC_ISSUER={self.issuer} signs by {', '.join(map(str, offered))} only. Let it sign "
                "by RS256 or ES256."
            )
        return about

    async def _must_know_us(self) -> None:
        """Providers look at who asks before they look at what is asked. Raises CannotStart."""
        try:
            await self._exchanged("none", f"{self._settings.url}/login/callback", "none" * 11)
        except AuthlibBaseError as problem:
            if problem.error in NOT_OURS:
                raise CannotStart(
                    f"The provider at OIDC_ISSUER={self.issuer} does not know OIDC_CLIENT_ID={self._client_id}, or "
                    "OIDC_CLIENT_SECRET is another one's. Copy both again."
                ) from problem
        except (*UNREACHABLE, ValueError, TypeError, AttributeError) as problem:
            logs.event("whether the provider knows this server is not known", level=logging.WARNING, why=problem)

    async def _exchanged(self, code: str, back: str, verifier: str) -> Mapping[str, Any]:
        """Its tokens for a code."""
        url = self._about["token_endpoint"]
        async with self._client(url) as client:
            token: Mapping[str, Any] = await client.fetch_token(
                url, grant_type="authorization_code", code=code, redirect_uri=back, code_verifier=verifier
            )
        return token

    async def _checked(self, token: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """The claims of its ID token. Raises JoseError, and what httpx2 does."""
        try:
            signed = self._decoded(token["id_token"], self._keys or await self._fetched_keys())
        except (InvalidKeyIdError, BadSignatureError):
            # Its keys change now and then.
            signed = self._decoded(token["id_token"], await self._fetched_keys())
        rules: dict[str, Any] = {
            "iss": {"essential": True, "value": self._about["issuer"]},
            "aud": {"essential": True, "value": self._client_id},
            "sub": {"essential": True},
        }
        given = {"nonce": nonce, "client_id": self._client_id, "access_token": token.get("access_token")}
        claims = CodeIDToken(signed.claims, signed.header, rules, given)
        claims.validate(leeway=LEEWAY_S)
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise ValueError("the ID token names nobody")
        return dict(claims)

    def _decoded(self, token: str, keys: KeySet) -> jwt.Token:
        return jwt.decode(token, keys, registry=JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False))

    async def _fetched_keys(self) -> KeySet:
        url = self._about["jwks_uri"]
        async with self._client(url) as client:
            response = await client.request("GET", url, withhold_token=True)
        found = [_key(one) for one in response.raise_for_status().json()["keys"]]
        self._keys = KeySet([key for key in found if key])
        return self._keys

    async def _more(self, token: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """What many providers say here only, such as the person's name."""
        if not (url := self._about.get("userinfo_endpoint")):
            return {}
        async with self._client(url) as client:
            client.token = token
            response = (await client.get(url)).raise_for_status()
        if "json" not in response.headers.get("content-type", ""):
            return {}
        claims: dict[str, Any] = response.json()
        if claims["sub"] != subject:
            raise ValueError("the user info is another person's")
        return claims


def _key(given: Any) -> Key | None:
    """None: it is for something else, or of a kind that is not known here."""
    if given.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(given)
    except (JoseError, ValueError, KeyError):
        return None


def _is_safe(url: Any) -> bool:
    parts = urlsplit(url) if isinstance(url, str) else None
    return parts is not None and (parts.scheme == "https" or is_loopback(parts.hostname or "-"))


def _reason(problem: Exception) -> str:
    if isinstance(problem, httpx2.HTTPStatusError):
        return f"it answers {problem.response.status_code}"
    return str(problem) or type(problem).__name__
