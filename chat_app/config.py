"""Settings: the only reader of the environment and of `.env`. A bad value stops the start with one sentence."""

import hashlib
import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from chat_app.address import OPENAI_URL, is_loopback, is_unspecified, issuer_address, server_address
from chat_app.claims import Claim, claims_in
from chat_app.errors import SettingsError
from chat_app.folders import ROOT as FOLDER
from chat_app.names import clean_name
from chat_app.origins import is_address, origin, site
from chat_app.periods import Period
from chat_app.proxy import BadProxy, proxy_for
from chat_app.rates import rates

ROOT = FOLDER
VERSION = "0.1.0"
SHORTEST_SECRET = 32
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def _share(value: Any) -> float:
    """`true` → 1.0, `false` → 0.0, `25%` → 0.25."""
    words = {"true": 1.0, "1": 1.0, "on": 1.0, "yes": 1.0, "false": 0.0, "0": 0.0, "off": 0.0, "no": 0.0}
    text = str(value).strip().lower()
    if text in words:
        return words[text]
    try:
        share = float(text.removesuffix("%")) / 100 if text.endswith("%") else -1.0
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError("use true, false or a percentage such as 25%")
    return share


def _rates(value: Any) -> Any:
    """`gpt-4o=2.5/10, llama3.2=0/0`: US dollars for a million tokens that a model reads, and that it writes."""
    if not isinstance(value, str):
        return value
    rates = {}
    for given in filter(None, map(str.strip, value.split(","))):
        model, _, prices = given.rpartition("=")
        read, _, written = prices.partition("/")
        try:
            rates[model.strip()] = float(read), float(written)
        except ValueError:
            rates[model] = -1.0, -1.0
        if not model.strip() or not all(0 <= rate < float("inf") for rate in rates[model.strip()]):
            raise ValueError(
                f"{given!r} is no price; write MODEL=READ/WRITTEN, in US dollars for a million tokens, "
                "such as gpt-4o=2.5/10"
            )
    return rates


def _password(address: str) -> str:
    """As it stands between the first colon and the last at sign; what is behind the host may hold others."""
    login, _, _ = address.partition("://")[2].rpartition("@")
    return login.partition(":")[2]


def _comma_list(value: Any) -> Any:
    return (
        tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        if isinstance(value, str)
        else value
    )


def _host_of(given: str) -> str:
    """Of a host's name or an origin."""
    known = origin(given)
    return known.name if known else given


def _requests(value: Any) -> Any:
    """`60/minute`, also several with a comma."""
    try:
        return rates(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("use a number for a time, such as 60/minute, or several such as 10/second, 300/hour") from None


def _budget(value: Any) -> Any:
    """`100000/day, 2000000/month`."""
    if not isinstance(value, str):
        return value
    budget = {}
    for given in filter(None, map(str.strip, value.split(","))):
        amount, _, period = given.partition("/")
        try:
            budget[Period(period.strip())] = float(amount)
        except ValueError:
            budget[Period.day] = -1.0
        if not all(0 < limit < float("inf") for limit in budget.values()):
            raise ValueError(
                f"{given!r} is no limit; use a number for a day or a month, such as 5/day or 5/day, 50/month"
            )
    return budget


def _claims(value: Any) -> Any:
    return claims_in(value) if isinstance(value, str) else value


Budget = Annotated[dict[Period, float], BeforeValidator(_budget)]
Requests = Annotated[tuple[Any, ...], BeforeValidator(_requests)]
Claims = Annotated[tuple[Claim, ...], BeforeValidator(_claims)]
CommaList = Annotated[tuple[str, ...], BeforeValidator(_comma_list)]


class Settings(BaseModel):
    """All settings, each optional; the field `port` is the variable `PORT`, and so on. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=3000, ge=1, le=65535)
    allowed_hosts: CommaList = ()
    cors_allowed_origins: CommaList = ()
    auth: Literal["password", "oidc", "proxy", "none"] | None = None
    auth_header: str = "X-Remote-User"
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_scopes: str = "openid profile email"
    oidc_admin: Claims = ()
    oidc_allowed: Claims = ()
    trusted_proxies: CommaList = ()
    secret_key_file: Path | None = None
    visitors: bool = False
    embed_secret: SecretStr | None = None
    base_path: str = "/"
    database_url: str = f"sqlite:///{ROOT / 'data' / 'chat.db'}"
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    openai_model: str | None = None
    system_prompt: str = "You are a helpful assistant."
    chat_titles: bool = True
    feature_streaming: Annotated[float, BeforeValidator(_share)] = 1.0
    local_model_path: Path | None = None
    replies: str | None = None
    hooks: str | None = None
    pages: str | None = None
    brand: Path | None = None
    max_message_chars: int = Field(default=32_000, ge=1)
    max_answer_chars: int = Field(default=4_000_000, ge=1)
    max_context_chars: int = Field(default=400_000, ge=1)
    max_event_bytes: int = Field(default=8_000_000, ge=1_000, le=1_000_000_000)
    first_token_timeout: float = Field(default=120, gt=0, allow_inf_nan=False)
    database_pool_size: int = Field(default=10, ge=1, le=1_000)
    database_timeout: float = Field(default=10, gt=0, allow_inf_nan=False)
    database_wait: float = Field(default=30, ge=0, allow_inf_nan=False)
    log_format: Literal["text", "json"] = "text"
    measures: bool = True
    model_prices: Annotated[dict[str, tuple[float, float]], BeforeValidator(_rates)] = Field(default_factory=dict)
    survey: bool = False
    context_tokens: int | None = Field(default=None, ge=256)
    otel_exporter_otlp_endpoint: str | None = None
    otel_exporter_otlp_traces_endpoint: str | None = None
    otel_service_name: str = "rill"
    limit_requests: Requests = ()
    limit_turns: int = Field(default=4, ge=1)
    limit_turns_all: int | None = Field(default=None, ge=1)
    limit_tokens: Budget = Field(default_factory=dict)
    limit_cost: Budget = Field(default_factory=dict)
    limit_connections: int | None = Field(default=None, ge=1)
    limit_followers: int = Field(default=100, ge=1)
    limit_messages: Requests = Field(default_factory=lambda: rates("3000/minute"))
    limit_message_bytes: int | None = Field(default=None, ge=1_000)
    shutdown_grace: float = Field(default=5, ge=0, allow_inf_nan=False)
    next_token_timeout: float = Field(default=60, gt=0, allow_inf_nan=False)

    @field_validator("openai_api_key")
    @classmethod
    def _header_value(cls, key: SecretStr | None) -> SecretStr | None:
        value = key.get_secret_value() if key else "-"
        if not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError("a key has only ASCII characters and no spaces; copy it again")
        return key

    @field_validator("embed_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret and len(secret.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(
                f"it has to have {SHORTEST_SECRET} characters at least; make one, for example by `openssl rand -hex 32`"
            )
        return secret

    @field_validator("openai_model")
    @classmethod
    def _visible_name(cls, name: str | None) -> str | None:
        if name is not None and clean_name(name) != name:
            raise ValueError("it holds characters that cannot be seen; write it by hand, or copy it again")
        return name

    @field_validator("openai_base_url")
    @classmethod
    def _http_url(cls, url: str | None) -> str | None:
        return None if url is None else server_address(url)

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, url: str | None) -> str | None:
        return None if url is None else issuer_address(url)

    @field_validator("oidc_scopes")
    @classmethod
    def _with_openid(cls, scopes: str) -> str:
        return " ".join(dict.fromkeys(["openid", *scopes.replace(",", " ").split()]))

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if url.split("://")[0] not in ("sqlite", "postgresql", "postgres"):
            raise ValueError("use sqlite:///path/to/file.db or postgresql://user:password@host/name")
        if url.count("@") > 1:
            raise ValueError(
                "marks in a user or password must be written as codes: @ as %40, : as %3A, / as %2F, # as %23, "
                "? as %3F, % as %25"
            )
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise ValueError(
                "it has no such form as sqlite:///path/to/file.db or postgresql://user:password@host:5432/name; "
                "marks in a password must be written as codes, such as %3A for a colon"
            ) from None
        if parsed.port is not None and not 0 < parsed.port < 65536:
            raise ValueError("a port is a number from 1 to 65535")
        return url

    @field_validator("replies", "hooks", "pages")
    @classmethod
    def _names_function(cls, path: str | None) -> str | None:
        if path is not None and not _FUNCTION.fullmatch(path):
            raise ValueError("use package.module:function")
        return path

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        sites = {host: site(host) for host in hosts}
        if no_names := [host for host, known in sites.items() if known is None or "*" in host]:
            raise ValueError(f"{no_names[0]!r} is no host name; use for example chat.example.org")
        return tuple(known.name for known in sites.values() if known)

    @field_validator("auth_header")
    @classmethod
    def _header_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9-]+", name):
            raise ValueError("a header's name has letters, digits and hyphens, such as X-Remote-User")
        return name

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError:
                raise ValueError(f"{proxy!r} is no address; use for example 10.0.0.5 or 172.16.0.0/12") from None
        return proxies

    @field_validator("base_path")
    @classmethod
    def _no_path(cls, path: str) -> str:
        if path.strip("/"):
            raise ValueError(
                "the app needs a host of its own, such as https://chat.example.org/, and works below no path"
            )
        return path

    @field_validator("cors_allowed_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        known = {text: origin(text) for text in origins}
        if no_origins := [text for text, parsed in known.items() if parsed is None]:
            raise ValueError(f"{no_origins[0]!r} is no origin; use for example https://example.org")
        # As browsers send them: what compares them further in, letter by letter, finds them.
        return tuple(map(str, known.values()))

    @property
    def accounts(self) -> bool:
        """Whether people sign in: without, there is one person, whoever it is."""
        return self.auth in ("password", "oidc", "proxy")

    @property
    def lets_visitors_in(self) -> bool:
        """Whether the chat in other pages is for who has no account, too."""
        return self.accounts and (self.visitors or self.embed_secret is not None)

    @property
    def embedded(self) -> bool:
        """Whether the embedded model serves: there is neither a key, a base URL, nor a reply source of one's own."""
        return self.openai_api_key is None and self.openai_base_url is None and self.replies is None

    @property
    def provider_url(self) -> str | None:
        """The address of the model's server; None: the embedded model serves, or a reply source of one's own."""
        return self.openai_base_url or (OPENAI_URL if self.openai_api_key else None)

    def check_auth(self) -> None:
        """Raises SettingsError: others may reach the server, and nobody said who may use it; or AUTH lacks a part."""
        if self.auth is None and (reached := self._reached_by_others()):
            raise SettingsError(
                f"With {reached} others can reach this server: set AUTH=password so that people sign in, or AUTH=none "
                "to let everybody see all chats."
            )
        if self.auth == "oidc" and not (self.oidc_issuer and self.oidc_client_id):
            raise SettingsError(
                "AUTH=oidc signs people in at an OpenID Connect provider: set OIDC_ISSUER to its address, and "
                "OIDC_CLIENT_ID to what it calls this server."
            )
        if self.auth == "proxy" and not self.trusted_proxies:
            raise SettingsError(
                f"AUTH=proxy believes the header {self.auth_header} of one proxy only: set TRUSTED_PROXIES to its "
                "address."
            )

        if self.visitors or self.embed_secret:
            self._check_visitors("VISITORS=true" if self.visitors else "EMBED_SECRET")

    def _check_visitors(self, setting: str) -> None:
        if not self.accounts:
            raise SettingsError(
                f"{setting} lets visitors in beside people with accounts, and there are none here: set AUTH=password."
            )
        if not self.cors_allowed_origins:
            raise SettingsError(
                f"{setting} lets visitors in through the pages of CORS_ALLOWED_ORIGINS, which names none."
            )

    def _reached_by_others(self) -> str:
        """The setting that lets them, as it is written; empty: only this machine can reach it."""
        if not is_loopback(self.host) or is_unspecified(self.host):
            return f"HOST={self.host}"
        for name, given in (("ALLOWED_HOSTS", self.allowed_hosts), ("CORS_ALLOWED_ORIGINS", self.cors_allowed_origins)):
            if far := [one for one in given if not is_loopback(_host_of(one))]:
                return f"{name}={far[0]}"
        return ""

    @property
    def secrets(self) -> list[str]:
        """What no line of the log may hold: keys, and the passwords in addresses, also as they are written there."""
        given = (self.openai_api_key, self.oidc_client_secret, self.embed_secret)
        keys = [key.get_secret_value() for key in given if key]
        written = [_password(address) for address in (self.database_url, self.openai_base_url or "")]
        return [secret for secret in (*keys, *written, *map(unquote, written)) if secret]

    @property
    def url(self) -> str:
        """Where a person on this machine opens the page."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def origins(self) -> tuple[str, ...]:
        """Whose pages may use the app: our own and the allowed."""
        own = {self.url, f"http://localhost:{self.port}", f"http://127.0.0.1:{self.port}"}
        return (*sorted(str(origin(url) or url) for url in own), *self.cors_allowed_origins)

    def streams(self, session: str) -> bool:
        """Whether this session gets streaming: a stable hash of it against the share of FEATURE_STREAMING."""
        digest = hashlib.sha256(session.encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < self.feature_streaming

    def knows_host(self, host: str) -> bool:
        """Whether a `Host` header is ours. Addresses in digits are: DNS rebinding needs a name."""
        asked, own = site(host), site(self.host)
        if asked is None:
            return False
        ours = {"localhost", *self.allowed_hosts, own.name if own else ""}
        return asked.name in ours or is_address(asked.name)


def _dotenv() -> dict[str, str | None]:
    """Raises SettingsError."""
    try:
        return dotenv_values(ROOT / ".env")
    except (OSError, UnicodeError) as problem:
        raise SettingsError(f"The file {ROOT / '.env'} cannot be read: {problem}. Correct it, or remove it.") from None


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read `.env` and the environment (which wins); an empty value counts as unset, but for SYSTEM_PROMPT: as none.

    Raises:
        SettingsError: with one sentence that names the variable.
    """
    source = environ if environ is not None else {**_dotenv(), **os.environ}
    # Stripped: a key that was read from a file often ends in a line feed, and no request can be sent with it.
    stripped = {name: (source.get(name.upper()) or "").strip() for name in Settings.model_fields}
    values = {name: value for name, value in stripped.items() if value}
    if source.get("SYSTEM_PROMPT") is not None:
        values["system_prompt"] = stripped["system_prompt"]
    try:
        settings = Settings.model_validate(values)
        for address in filter(None, (settings.provider_url, settings.oidc_issuer)):
            proxy_for(address, {name: value for name, value in source.items() if value})
        return settings
    except BadProxy as error:
        raise SettingsError(f"The setting {error.name} cannot be used: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        shown = "" if name.endswith(("KEY", "URL", "SECRET")) else f"={first['input']}"
        raise SettingsError(f"The setting {name}{shown} cannot be used: {reason}.") from None
