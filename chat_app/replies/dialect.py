"""What a server does not take of OpenAI's protocol, found in its own words, and the request without it."""

import re
from collections import defaultdict
from typing import Any

from chat_app.replies.problem import Problem

SYSTEM = "system"
"""The role, beside the names of parameters: its text then goes before the first question."""
STREAM = "stream"
NEEDED = {"model", "messages"}
RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Newer models want the one, many servers know only the other."""
REFUSED_STATUSES = (400, 422, None)
"""None: it came as the first event of a 200, without a status."""
ROLE_STATUSES = (400, 422, 500, 501, None)
"""500: SGLang's and llama.cpp's, for a chat template that raises."""

REFUSAL = re.compile(
    r"support|unknown|unrecogni[sz]ed|unexpected|extra|invalid|deprecat|forbidden|disallow|reject|no such|remove|omit"
    r"|isn't|not (permitted|allowed|accepted|valid|known|implemented|enabled|available|be set)|cannot|can't"
    r"|additional propert"
    r"|only .{0,40}(allowed|default|defined|be (used|set))|must be (unset|verified)|accept"
    r"|(must|should) be (set to )?1\b|不支持|无效|未知|错误",
    re.IGNORECASE,
)
# A value out of its range: the person who set it must hear of it.
RANGE = re.compile(
    r"between|range|less than|greater than|at (most|least)|[<>]=?\s*\d|\b(max|min)imum|too (high|low|large|small|big)",
    re.IGNORECASE,
)
NOT_TAKEN = re.compile(
    r"support|unknown|unrecogni|unexpected|extra|permitted|deprecat|only 1 is allowed|default", re.IGNORECASE
)
SYSTEM_WORDS = re.compile(
    r"(system|developer)['\"` ]*(role|message|prompt|instruction)|roles?['\"` :=]*(of )?['\"`]?(system|developer)\b"
    r"|['\"`]system['\"`]|system_instruction|messages\.\d+\.role",
    re.IGNORECASE,
)
ONLY_TWO_ROLES = re.compile(
    r"(only|should be|must be) ['\"`]?user['\"`]?,? (and|or) ['\"`]?(assistant|model)",
    re.IGNORECASE,
)
ALTERNATE = re.compile(r"roles? must alternate", re.IGNORECASE)
SYSTEM_IS_KNOWN = re.compile(r"optional system|must be at the (beginning|start)|must be the first", re.IGNORECASE)


class Dialect:
    """Of one server: what each of its models was found not to take."""

    def __init__(self) -> None:
        self._refused: defaultdict[str, list[str]] = defaultdict(list)

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request without what its model does not take."""
        for name in self._refused.get(str(request["model"]), ()):
            request = without(request, name)
        return request

    def remember(self, model: str, refused: list[str]) -> None:
        known = self._refused[model]
        known += [name for name in refused if name not in known]


def refused_part(problem: Problem, request: dict[str, Any]) -> str | None:
    """The part of the request that the server does not take: a parameter, or `SYSTEM`; None: it is something else."""
    if problem.is_context:
        return None
    if problem.status in ROLE_STATUSES and _has_system(request) and _refuses_system(problem):
        return SYSTEM
    if problem.status not in REFUSED_STATUSES:
        return None
    optional = sorted(request.keys() - NEEDED, key=len, reverse=True)
    return next((name for name in optional if request[name] is not False and _refuses(problem, name)), None)


def without(request: dict[str, Any], name: str) -> dict[str, Any]:
    """The request without that part; of what has another name, under the other name."""
    if name == SYSTEM:
        return request | {"messages": _merged_system(request["messages"])}
    rest = {key: value for key, value in request.items() if key != name}
    if name in RENAMED and name in request and RENAMED[name] not in rest:
        rest[RENAMED[name]] = request[name]
    if name == STREAM:
        rest.pop("stream_options", None)
    return rest


def _refuses(problem: Problem, name: str) -> bool:
    words = problem.words
    about = problem.param == name or problem.param.startswith(f"{name}.")
    if not about and not _named(name, words):
        return False
    if RANGE.search(words) and not NOT_TAKEN.search(words):
        return False
    return about or bool(REFUSAL.search(words))


def _named(name: str, words: str) -> bool:
    if name == STREAM:
        pattern = r"['\"`]stream['\"`]|\bstreaming (is )?(not|un)|not support stream(ing)?\b|verified to stream"
    else:
        pattern = rf"(?<![\w]){re.escape(name).replace('_', '[_ ]?')}(?![\w])"
    return re.search(pattern, words, re.IGNORECASE) is not None


def _has_system(request: dict[str, Any]) -> bool:
    return any(message.get("role") == "system" for message in request["messages"])


def _refuses_system(problem: Problem) -> bool:
    words = problem.words
    if SYSTEM_IS_KNOWN.search(words):
        return False
    if ALTERNATE.search(words) or ONLY_TWO_ROLES.search(words):
        return True
    return bool(SYSTEM_WORDS.search(words) and REFUSAL.search(words))


def _merged_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    system = [message["content"] for message in messages if message["role"] == "system"]
    others = [message for message in messages if message["role"] != "system"]
    first = next((i for i, message in enumerate(others) if message["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": _joined([*system])}, *others]
    question = others[first] | {"content": _joined([*system, others[first]["content"]])}
    return [*others[:first], question, *others[first + 1 :]]


def _joined(contents: list[Any]) -> Any:
    """Texts with a blank line between them; lists of parts one after the other."""
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(contents)
    return [part for content in contents for part in (content if isinstance(content, list) else [_text_part(content)])]


def _text_part(text: Any) -> dict[str, Any]:
    return {"type": "text", "text": text}
