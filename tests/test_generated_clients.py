"""Clients that others generate from the OpenAPI: they are made, are clean, and talk to a running server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forked import Api
from tests.npm import npm_install
from tests.provider_client import Provider, script

pytestmark = pytest.mark.thorough

TOOLS = ["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3"]
USE_PYTHON = """
import sys

from rill_api import Client
from rill_api.api.chats import list_chats
from rill_api.api.messages import read_message, send_message
from rill_api.api.search import search
from rill_api.api.stream import stream_reply
from rill_api.models import Ask, ErrorBody, HitList, MessageOut


def main(url: str, question: str) -> None:
    client = Client(base_url=url, timeout=None)
    sent = send_message.sync(client=client, body=Ask(content=question))
    assert isinstance(sent, MessageOut)
    print(sent.status.value, sent.content)
    streamed = stream_reply.sync(client=client, body=Ask(content=question, chat_id=sent.chat_id))
    assert isinstance(streamed, str)
    print(streamed.splitlines()[-2])
    found = search.sync(client=client, q="Hello")
    assert isinstance(found, HitList)
    print(len(found.hits))
    chats = list_chats.sync(client=client)
    assert chats is not None and not isinstance(chats, ErrorBody)
    print([chat.id for chat in chats.chats] == [sent.chat_id])
    missing = read_message.sync("nothing", client=client)
    assert isinstance(missing, ErrorBody)
    print(missing.error.code)


main(*sys.argv[1:])
"""
USE_TYPESCRIPT = """
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const [baseUrl, question] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl });
const sent = await client.POST("/messages/", { body: { content: question } });
if (!sent.data) throw new Error(sent.error.error.message);
const message: components["schemas"]["MessageOut"] = sent.data;
console.log(message.status, message.content);
const body = { content: question, chat_id: message.chat_id };
const streamed = await client.POST("/stream/", { body, parseAs: "text" });
const text: string = streamed.data ?? "";
console.log(text.trimEnd().split("\\n").at(-1));
const found = await client.GET("/search/", { params: { query: { q: "Hello" } } });
console.log(found.data?.hits.length);
const chats = await client.GET("/chats/");
console.log(chats.data?.chats.length === 1 && chats.data.chats[0]?.id === message.chat_id);
const missing = await client.GET("/messages/{message_id}", { params: { path: { message_id: "nothing" } } });
console.log(missing.error?.error.code);
"""
STRICT = {
    "compilerOptions": {
        "strict": True,
        "noUncheckedIndexedAccess": True,
        "exactOptionalPropertyTypes": True,
        "skipLibCheck": False,
        "target": "ES2022",
        "lib": ["ES2022", "DOM"],
        "module": "NodeNext",
        "types": ["node"],
    },
    "files": ["use.ts", "api.d.ts"],
}
# What of --strict can be asked for in one file.
STRICT_USE = """
[mypy]
extra_checks = true
warn_redundant_casts = true
[mypy-use]
check_untyped_defs = true
disallow_any_generics = true
disallow_incomplete_defs = true
disallow_subclassing_any = true
disallow_untyped_calls = true
disallow_untyped_decorators = true
disallow_untyped_defs = true
no_implicit_reexport = true
strict_equality = true
warn_return_any = true
warn_unused_ignores = true
"""
ASKED = script(text="Hello from the model")
# The chat's title, twice the question and twice the answer have the word.
SAID = ["complete Hello from the model", "data:[DONE]", "5", "True", "not_found"]


@pytest.fixture
def server(provider: Provider, tmp_path: Path) -> Iterator[Api]:
    with Api(tmp_path, openai_base_url=provider.base_url, openai_model="bench") as server:
        yield server


@pytest.fixture
def spec(server: Api, tmp_path: Path) -> Path:
    file = tmp_path / "openapi.json"
    file.write_text(server.http.get("/openapi.json").text)
    return file


def output(folder: Path, *command: str) -> list[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder)}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.splitlines()


def test_openapi_python_client(server: Api, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("package_name_override: rill_api")
    tool = str(Path(sys.executable).with_name("openapi-python-client"))
    options = ["--config", "config.yaml", "--meta", "none", "--output-path", "rill_api", "--fail-on-warning"]
    output(tmp_path, tool, "generate", "--path", str(spec), *options)
    (tmp_path / "use.py").write_text(USE_PYTHON)
    output(tmp_path, sys.executable, "-m", "ruff", "check", "--isolated", "rill_api")
    # Of what is generated, the tool's own client.py is not strict; how it is used is checked against all of it.
    (tmp_path / "mypy.ini").write_text(STRICT_USE)
    checked = ["use.py", "rill_api/api", "rill_api/models"]
    output(tmp_path, sys.executable, "-m", "mypy", "--follow-imports", "silent", *checked)
    assert output(tmp_path, sys.executable, "use.py", server.url, ASKED) == SAID


def test_openapi_typescript(server: Api, spec: Path, tmp_path: Path) -> None:
    npm_install(tmp_path, *TOOLS, "@types/node@24.10.1")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    node = str(Path(sys.executable).with_name("node"))
    output(tmp_path, node, "node_modules/openapi-typescript/bin/cli.js", str(spec), "--output", "api.d.ts")
    (tmp_path / "use.ts").write_text(USE_TYPESCRIPT)
    (tmp_path / "tsconfig.json").write_text(json.dumps(STRICT))
    output(tmp_path, node, "node_modules/typescript/bin/tsc", "--project", ".")
    assert output(tmp_path, node, "use.js", server.url, ASKED) == [line.replace("True", "true") for line in SAID]
