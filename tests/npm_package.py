"""useStream() as an npm package, `rill-use-stream-VERSION.tgz`: `make npm-package`.

It holds assets/use-stream.js and its types as they are, so that a project outside gets what /embed is made with.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from chat_app.config import ROOT, VERSION

NAME = "rill-use-stream"
PACKAGE = {
    "name": NAME,
    "version": VERSION,
    "description": "A chat with a Rill server from any React page: useStream().",
    "license": "MIT",
    "type": "module",
    "exports": {".": {"types": "./use-stream.d.ts", "default": "./use-stream.js"}},
    "types": "./use-stream.d.ts",
    "files": ["use-stream.js", "use-stream.d.ts"],
    "sideEffects": False,
    "dependencies": {"eventsource-parser": "^4.0.0"},
    "peerDependencies": {"react": ">=18"},
}
README = """# useStream()

```jsx
import { useStream } from "rill-use-stream";

const { messages, partial, status, mode, error, send, stop } = useStream({ baseUrl: "https://chat.example.org" });
```

It needs React 18 or later; `eventsource-parser` comes along. It has types. The server must name the origin of your page
in `CORS_ALLOWED_ORIGINS`. The options and the state are explained in `use-stream.js`.
"""


def pack(folder: Path) -> Path:
    """Put the package into the folder; returns its file."""
    with TemporaryDirectory() as made:
        for file in (ROOT / "assets" / "use-stream.js", ROOT / "assets" / "use-stream.d.ts", ROOT / "LICENSE"):
            shutil.copy(file, made)
        Path(made, "package.json").write_text(json.dumps(PACKAGE, indent=2) + "\n")
        Path(made, "README.md").write_text(README)
        scripts = Path(sys.executable).parent
        environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
        command = [str(scripts / "npm"), "pack", "--silent", "--pack-destination", str(folder)]
        subprocess.run(command, cwd=made, env=environment, check=True, stdout=subprocess.DEVNULL)
    return folder / f"{NAME}-{VERSION}.tgz"


if __name__ == "__main__":
    print(f"Wrote {pack(ROOT).relative_to(ROOT)}")
