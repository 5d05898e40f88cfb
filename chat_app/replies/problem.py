"""What a provider says went wrong, in any shape, and our error for it, with a sentence that says what to do. Pure."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chat_app.errors import ContentFiltered, ContextTooLong, ProviderBusy, ProviderError, ProviderRefused
from chat_app.replies.context_limit import tells_context_is_full
from chat_app.replies.redaction import READ_CHARS, Secrets

MAX_DEPTH = 6
MAX_ITEMS = 8
"""Of a list in an error, so many are looked at."""

TOO_LONG = "The message is too long for the model. Shorten it, or choose a model that reads more."
NO_QUOTA_LEFT = "The account of this OPENAI_API_KEY has no quota left. Check its plan and billing."
BASE_URL_LOOKS_WRONG = (
    "Check OPENAI_BASE_URL: it looks wrong. The address of an OpenAI-compatible server usually ends in /v1."
)

TEXT_KEYS = (
    "message",
    "msg",
    "detail",
    "error",
    "errors",
    "error_message",
    "error_msg",
    "error_description",
    "title",
    "status_msg",
)
MORE_KEYS = ("reason", "description", "raw", "metadata", "innererror", "details")
CODE_KEYS = ("code", "type", "param", "status", "reason", "object")

KEY_CODES = {"invalid_api_key", "authentication_error", "unauthenticated", "unauthorized"}
BUSY_CODES = {"rate_limit_exceeded", "rate_limit_error", "overloaded_error", "resource_exhausted", "too_many_requests"}
NO_QUOTA = re.compile(
    r"insufficient[_ ](quota|balance|credit|funds)|exceeded your current quota|billing", re.IGNORECASE
)
FILTER_CODES = {
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "data_inspection_failed",
    "moderation_blocked",
    "prohibited_content",
}
FILTERED = re.compile(
    r"content management policy|content[_ ](policy|filter)|(was|were|been) flagged|inappropriate content|safety system",
    re.IGNORECASE,
)
FILTER_STATUSES = (None, 400, 403, 422, 451)
NEVER_CONTEXT = (401, 402, 403, 404, 405, 407, 429)


class Reported(Exception):
    """The provider answered with an error."""

    def __init__(self, problem: "Problem") -> None:
        super().__init__(problem.text)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Problem:
    """`text` is what a person may read of it, `words` all that it says, `codes` are those for machines, in lower case.

    `status` is HTTP's, also where it only stands in the body of a 200; None: there is none. `wait` is in seconds.
    """

    text: str
    words: str = ""
    codes: frozenset[str] = frozenset()
    param: str = ""
    status: int | None = None
    page: bool = False
    """It is an HTML page, not JSON."""
    wait: float | None = field(default=None, compare=False)
    location: str = ""
    """Where a redirect points at."""

    @property
    def is_context(self) -> bool:
        """Whether the messages do not fit the model's context; a shorter history may be sent again."""
        if self.status == 413:
            return True
        if self.status in NEVER_CONTEXT:
            return False
        return tells_context_is_full(self.words, self.codes)

    def error(self, secrets: Secrets) -> ProviderError:
        error = self._error(secrets)
        error.provider_status = self.status
        return error

    def _error(self, secrets: Secrets) -> ProviderError:
        text = secrets.quoted(self.text)
        said = f": {text}" if text else "."
        status = self.status
        if self.is_context:
            return ContextTooLong(TOO_LONG)
        if status == 401 or self.codes & KEY_CODES:
            return ProviderRefused("The model's server does not accept the key. Check OPENAI_API_KEY, then restart.")
        if status in FILTER_STATUSES and (self.codes & FILTER_CODES or FILTERED.search(self.words)):
            return ContentFiltered(
                "The provider's content filter refused the message. Try again, put the question differently, or begin "
                "a new chat."
            )
        if status == 402 or "insufficient_quota" in self.codes:
            return ProviderRefused(NO_QUOTA_LEFT)
        if status == 429 or (status != 404 and self.codes & BUSY_CODES):
            return self._busy()
        if self.location:
            target = secrets.quoted(self.location)
            return ProviderRefused(
                f"The model's server points at another address, {target}. The chat is not sent there by itself: "
                "if it is right, set OPENAI_BASE_URL to it."
            )
        if status in (404, 405) or (self.page and (status or 200) < 500):
            return self._not_found(text)
        if status is None:
            reported = text or "an error, without a word about it. Try again in a moment."
            return ProviderError(f"The model's server reported: {reported}")
        if status >= 500:
            detail = f": {text}" if text and not self.page else ""
            return ProviderError(f"The model's server has a problem ({status}{detail}). Try again in a moment.")
        return ProviderRefused(f"The model's server refused the request ({status}){said}")

    def _busy(self) -> ProviderError:
        if NO_QUOTA.search(self.words) or any(NO_QUOTA.search(code) for code in self.codes):
            return ProviderRefused(NO_QUOTA_LEFT)
        wait = f"Try again in {self.wait:.0f} seconds." if self.wait else "Try again in a moment."
        return ProviderBusy(f"The model's server is busy. {wait}", retry_after=self.wait)

    def _not_found(self, text: str) -> ProviderError:
        if self.page or not re.search("model", " ".join([self.words, *self.codes]), re.IGNORECASE):
            detail = "a web page" if self.page else f"“{text}” ({self.status})" if text else f"{self.status}"
            return ProviderRefused(f"The model's server answered with {detail}. {BASE_URL_LOOKS_WRONG}")
        return ProviderRefused(
            f"The model's server does not know what was asked for. Check OPENAI_MODEL ({text or self.status})."
        )


def problem_of_response(status: int, content: bytes, *, wait: float | None = None, location: str = "") -> Problem:
    """Of a response with an error's status, or a redirect's, whatever its body is."""
    text = content[: READ_CHARS * 4].decode("utf-8", "replace")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = page_title(text) if is_page(text) else text
    return _problem(body, status, page=is_page(text), wait=wait, location=location if 300 <= status < 400 else "")


def problem_of_event(body: Any) -> Problem:
    """Of what came as `error`, or in its place, within an answer of 200."""
    return _problem(body, next(_statuses(body), None))


def problem_in(body: Any) -> Problem | None:
    """The problem that a JSON value of an answer tells; None: it tells none, or is no object or list of objects."""
    if isinstance(body, list):
        return next((problem for item in body[:MAX_ITEMS] if (problem := problem_in(item))), None)
    if not isinstance(body, dict):
        return None
    if body.get("error"):
        return problem_of_event(body)
    choices = body.get("choices")
    if not choices and isinstance(verdict := body.get("base_resp"), dict) and verdict.get("status_code"):
        # MiniMax's.
        return problem_of_event(verdict)
    if type(choices) is list and choices:
        first = choices[0] if isinstance(choices[0], dict) else {}
        return problem_of_event(first) if first.get("error") else None
    if body.get("object") == "error" or body.get("type") == "error" or ("choices" not in body and _tells(body)):
        return problem_of_event(body)
    return None


def _tells(body: dict[str, Any]) -> bool:
    return any(body.get(key) for key in ("detail", "errors", "error_message", "error_msg", "error_description")) or (
        any(isinstance(body.get(key), str) and body[key] for key in ("message", "msg"))
    )


def is_page(text: str) -> bool:
    """Whether it is HTML, or XML."""
    return (
        re.match(r"[\s\ufeff]*<(!doctype|html|head|body|\?xml|!--|h1|title|script|div|p>|center|meta)", text, re.I)
        is not None
    )


def page_title(text: str) -> str:
    match = re.search(r"<(title|h1)[^>]*>([^<]{1,200})", text, re.IGNORECASE)
    return html.unescape(match[2]) if match else ""


def _problem(body: Any, status: int | None, **more: Any) -> Problem:
    texts = list(dict.fromkeys(text.strip()[:READ_CHARS] for text in _texts(body) if text.strip()))[:20]
    codes = frozenset(code.lower()[:100] for code in _codes(body))
    param = next(_values(body, ("param",)), "")
    return Problem(texts[0] if texts else "", "\n".join(texts), codes, str(param)[:100], status, **more)


def _texts(body: Any, depth: int = 0) -> Iterator[str]:
    """The sentences in it, the most telling first."""
    if depth > MAX_DEPTH:
        return
    if isinstance(body, str):
        yield from _texts_in_text(body, depth)
    elif isinstance(body, list):
        for item in body[:MAX_ITEMS]:
            yield from _texts(item, depth + 1)
    elif isinstance(body, dict):
        if isinstance(body.get("loc"), list) and isinstance(body.get("msg"), str):
            # What FastAPI says of a field; it repeats the whole input beside it.
            yield f"{'.'.join(str(part)[:100] for part in body['loc'][:MAX_ITEMS])}: {body['msg']}"
            return
        for key in (*TEXT_KEYS, *MORE_KEYS):
            if key in body:
                yield from _texts(body[key], depth + 1)


def _texts_in_text(text: str, depth: int) -> Iterator[str]:
    """A gateway puts the JSON of the server behind it into its own text."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            inner = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            yield from _texts(inner, depth + 1)
            return
    yield text


def _values(body: Any, keys: Iterable[str], depth: int = 0) -> Iterator[Any]:
    if depth > MAX_DEPTH:
        return
    if isinstance(body, list):
        for item in body[:MAX_ITEMS]:
            yield from _values(item, keys, depth + 1)
    elif isinstance(body, dict):
        for key in keys:
            if isinstance(body.get(key), (str, int)):
                yield body[key]
        for key in (*TEXT_KEYS, *MORE_KEYS):
            yield from _values(body.get(key), keys, depth + 1)


def _codes(body: Any) -> Iterator[str]:
    return (value for value in _values(body, CODE_KEYS) if isinstance(value, str))


def _statuses(body: Any) -> Iterator[int]:
    """HTTP's, where a gateway gives it as the code within the body."""
    for value in _values(body, ("code", "status", "status_code", "http_code")):
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value) else value
        if isinstance(number, int) and 400 <= number < 600:
            yield number
