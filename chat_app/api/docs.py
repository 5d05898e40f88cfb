"""`/docs`: the API for people who write clients, one page of HTML made of our own OpenAPI and `docs.html`.

It fetches nothing but the page's own style sheet, so it works without the internet.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).parent
KINDS = {"stream": "Streams", "messages": "Messages", "chats": "Chats", "search": "Search"}


@router.api_route("/docs/", methods=["GET", "HEAD"])
@router.api_route("/docs", methods=["GET", "HEAD"])
async def docs(request: Request) -> HTMLResponse:
    return HTMLResponse(page(request.app, str(request.base_url).rstrip("/")))


def page(api: FastAPI, url: str) -> str:
    spec = api.openapi()
    operations = [
        (method, path, operation) for path, methods in spec["paths"].items() for method, operation in methods.items()
    ]
    parts = {
        "{{url}}": escape(url),
        "{{index}}": _index(operations),
        "{{routes}}": "".join(_route(spec, url, *operation) for operation in operations),
    }
    text = _template()
    for name, value in parts.items():
        text = text.replace(name, value)
    return text


@cache
def _template() -> str:
    return (FOLDER / "docs.html").read_text()


def _index(operations: Iterable[tuple[str, str, dict[str, Any]]]) -> str:
    lists: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for method, path, operation in operations:
        link = f'<a href="#{operation["operationId"]}"><b>{method.upper()}</b> {escape(path)}</a>'
        lists[operation["tags"][0]].append(f"<li>{link}</li>")
    return "".join(f"<h2>{KINDS[kind]}</h2><ul>{''.join(items)}</ul>" for kind, items in lists.items())


def _route(spec: dict[str, Any], url: str, method: str, path: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return f"""
<section id="{operation["operationId"]}" class="route">
<h3>{escape(operation["summary"])}</h3>
<p class="path"><b>{method.upper()}</b> <code>{escape(path)}</code></p>
<p>{_prose(operation.get("description", ""))}</p>
{_parameters(operation.get("parameters", []))}
{_body(spec, body)}
<h4>Example</h4>
{_pre(_curl(url, method, path, operation, body))}
{_answer(operation["responses"])}
{_responses(operation["responses"])}
</section>"""


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = [
        (
            f"<code>{escape(one['name'])}</code>",
            f"{one['in']}{', required' if one.get('required') else ''}",
            escape(_kind(one["schema"])),
            _prose(one.get("description", "")),
        )
        for one in parameters
    ]
    return _table("Parameters", ("name", "where", "type", ""), rows)


def _body(spec: dict[str, Any], body: dict[str, Any]) -> str:
    schema = _resolved(spec, body.get("schema", {}))
    required = schema.get("required", [])
    rows = [
        (
            f"<code>{escape(name)}</code>",
            "required" if name in required else "",
            escape(_kind(field)),
            _prose(field.get("description", "")),
        )
        for name, field in schema.get("properties", {}).items()
    ]
    return _table("Body (JSON)", ("key", "", "type", ""), rows)


def _responses(responses: Mapping[str, Any]) -> str:
    return _table("Statuses", ("status", "when", "headers", "codes"), [_response(*one) for one in responses.items()])


def _response(status: str, response: dict[str, Any]) -> tuple[str, ...]:
    examples = response.get("content", {}).get("application/json", {}).get("examples", {})
    codes = " ".join(f"<code>{escape(code)}</code>" for code in examples)
    headers = " ".join(f"<code>{escape(name)}</code>" for name in response.get("headers", {}))
    name = f"{status} {HTTPStatus(int(status)).phrase}"
    return escape(name), _prose(response["description"]), headers, codes


def _curl(url: str, method: str, path: str, operation: dict[str, Any], body: dict[str, Any]) -> str:
    query = []
    for one in operation.get("parameters", []):
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", one["example"])
        elif one["in"] == "query" and one.get("required"):
            query.append(f"{one['name']}={one['example']}")
    address = url + path + ("?" + "&".join(query) if query else "")
    verb = "" if method == ("post" if body else "get") else f"-X {method.upper()} "
    data = f" \\\n    -d '{json.dumps(body['example'])}'" if "example" in body else ""
    streams = "text/event-stream" in next(iter(operation["responses"].values())).get("content", {})
    return f"$ curl {'-N ' if streams else ''}{verb}'{address}'{data}"


def _answer(responses: Mapping[str, Any]) -> str:
    content = next(iter(responses.values())).get("content", {})
    return "".join(_pre(_shown(one)) for one in content.values())


def _shown(media: dict[str, Any]) -> str:
    """The example of an answer; a stream's events as they are sent."""
    if "examples" in media:
        blocks = [one["value"] for one in media["examples"].values()]
        return "\n".join("".join(f"{name}:{value}\n" for name, value in block.items()) for block in blocks)
    example = media["example"]
    return example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words: `integer, 1 to 500`, `string or null`."""
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("type") == "array":
        return f"array of {_kind(schema['items'])}"
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema["enum"])
    default = schema.get("default")
    shown = f", default {json.dumps(default)}" if default not in (None, "") else ""
    return f"{schema.get('type', 'any')}{_span(schema)}{shown}"


def _span(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum", schema.get("minLength")), schema.get("maximum", schema.get("maxLength"))
    unit = " characters" if schema.get("type") == "string" else ""
    if high is None:
        return ""
    return f", at most {high}{unit}" if low is None else f", {low} to {high}{unit}"


def _resolved(spec: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = spec["components"]["schemas"][name] if name else schema
    return found


def _table(title: str, head: Iterable[str], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">{name}</th>' for name in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<h4>{title}</h4><div class="wide"><table><tr>{heads}</tr>{lines}</table></div>'


def _pre(text: str) -> str:
    return f'<pre tabindex="0">{escape(text.rstrip())}</pre>'


def _prose(text: str) -> str:
    """Escaped, with `code` as code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
