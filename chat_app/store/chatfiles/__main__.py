"""`python -m chat_app.store.chatfiles FILE`: what `process.py` starts.

It writes pickled batches, then None or a sentence.
"""

import os
import pickle
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from chat_app.errors import InvalidRequest
from chat_app.store.chatfiles.reading import batches

MAX_MEMORY_BYTES = 3 << 30
TOO_MUCH = "The file takes more memory to read than is allowed. Split it, or import fewer chats at once."


def main() -> None:
    _be_modest()
    try:
        for batch in batches(Path(sys.argv[1])):
            _write(batch)
        _write(None)
    except InvalidRequest as error:
        _write(error.message)
    except MemoryError:
        _write(TOO_MUCH)


def _be_modest() -> None:
    """Answers that stream go first; a file that was made to fill the memory fills only so much."""
    with suppress(ImportError, AttributeError, ValueError, OSError):
        import resource

        os.nice(10)
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def _write(value: Any) -> None:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    sys.stdout.buffer.write(struct.pack("!Q", len(data)) + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
