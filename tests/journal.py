"""What a running turn has got, as its journal would have it: for tests of what is left when the server dies."""

from chat_app.parts import GROWING
from chat_app.store.store import Store


async def write(store: Store, turn_id: str, *parts: tuple[str, str], seq: int = 0) -> None:
    """Add rows; each part is its kind and its text, JSON for a whole one. `seq`: how much is there already."""
    rows = []
    for number, (kind, text) in enumerate(parts):
        seq += len(text) if kind in GROWING else 1
        rows.append({"turn_id": turn_id, "seq": seq, "part": number, "kind": kind, "text": text})
    await store.add_rows(rows)
