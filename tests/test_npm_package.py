"""The npm package of useStream(), as a project with strict TypeScript uses it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chat_app.config import ROOT
from tests.npm import npm_install
from tests.npm_package import NAME, pack

USE = f"""
import {{ createStream, useStream, type Message, type Part, type StreamState }} from "{NAME}";

export function Chat(props: {{ chatId: string | null }}) {{
  const chat = useStream({{
    chatId: props.chatId,
    baseUrl: "https://chat.example.org",
    headers: {{ "X-Session-Id": "me" }},
    include: "reasoning,tools",
    onPart: (part) => console.log(part.type, part["tool"]),
  }});
  const shown: Message[] = chat.messages;
  const thoughts = chat.parts.map((part: Part) => (part.type === "reasoning" ? part.text : ""));
  const ask = async () => {{
    const reply = await chat.send("Hello");
    if (reply) console.log(reply.content.length, reply.error?.code);
  }};
  return (
    <form onSubmit={{() => void ask()}}>
      {{shown.map(({{ id, role, content }}) => <p key={{id}}>{{role}}: {{content}}</p>)}}
      <p>{{chat.partial}}{{thoughts.join("")}}</p>
      <button disabled={{!chat.busy}} onClick={{() => void chat.stop()}}>{{chat.mode}}</button>
      {{chat.error && <p role="alert">{{chat.error.message}}</p>}}
    </form>
  );
}}

const stream = createStream();
const leave: () => void = stream.subscribe(() => {{
  const state: StreamState = stream.getState();
  if (state.status === "complete") leave();
}});
"""
WRONG = """
// @ts-expect-error There is no such option.
export const wrong = useStream({ baseURL: "https://chat.example.org" });
"""
CONFIG = {
    "compilerOptions": {
        "strict": True,
        "noUncheckedIndexedAccess": True,
        "exactOptionalPropertyTypes": True,
        "noPropertyAccessFromIndexSignature": True,
        "noEmit": True,
        "target": "ES2022",
        "lib": ["ES2022", "DOM"],
        "module": "NodeNext",
        "jsx": "react-jsx",
        "types": [],
    }
}


@pytest.mark.slow
@pytest.mark.parametrize("react", [pytest.param(18, marks=pytest.mark.thorough), 19])
def test_it_is_used_from_strict_typescript(react: int, tmp_path: Path) -> None:
    package = pack(tmp_path)
    npm_install(tmp_path, str(package), "typescript@5.9.3", f"react@{react}", f"@types/react@{react}")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps(CONFIG | {"files": ["use.tsx"]}))
    (tmp_path / "use.tsx").write_text(USE + WRONG)
    assert compiled(tmp_path) == ""
    # What it exports is there, in a program too.
    code = f"import * as all from '{NAME}'; console.log(typeof all.createStream, typeof all.useStream)"
    assert node(tmp_path, "--input-type=module", "-e", code) == "function function\n"


def test_the_types_name_all_options() -> None:
    """Those of `DEFAULTS`."""
    code = (ROOT / "assets" / "use-stream.js").read_text()
    defaults = code[code.index("const DEFAULTS = {") : code.index("\n};")]
    names = {
        line.strip().partition(":")[0].partition("(")[0]
        for line in defaults.splitlines()[1:]
        if line.startswith("  ") and not line.strip().startswith("//")
    }
    types = (ROOT / "assets" / "use-stream.d.ts").read_text()
    options = types[types.index("interface StreamOptions {") :].partition("}\n\n")[0]
    assert {"baseUrl", "include", "longest"} <= names
    assert names == {line.strip().partition("?:")[0] for line in options.splitlines() if "?:" in line}


def compiled(folder: Path) -> str:
    return node(folder, "node_modules/typescript/bin/tsc", "--project", ".")


def node(folder: Path, *arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("node")), *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return run.stdout + run.stderr
