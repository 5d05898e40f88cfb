"""Names on one line: titles of chats, names of models. What cannot be seen, or turns what stands around it, goes. Pure.

Whoever gives a name, it is cleaned where it comes in, and once more on its way to and from the database (`models`).
Joiners stay, since Persian and emoji are written with them, and so do the plain marks of a direction.
"""

import re

# C0, DEL and C1; lines and paragraphs; half of a pair; embeddings, overrides and isolates; what takes no room.
_SPACES = r"\t-\r\x1c-\x1f\x85\u2028\u2029"
_HALVES = r"\ud800-\udfff"
_HIDDEN = r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u180e\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_TAGS = r"\U000e0000-\U000e007f"
# A flag of a part of a country is a black flag and tags.
_ODD = re.compile(f"(\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f)|[{_SPACES}]+|[{_HALVES}]|[{_HIDDEN}{_TAGS}]+")
# By itself nothing of it can be seen.
UNSEEN = (
    r"\u0000-\u0020\u007f-\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
    r"\ufff9-\ufffb"
)
_SEEN = re.compile(f"[^{UNSEEN}{_TAGS}]")


def clean_name(name: str) -> str:
    """The name without control characters; empty where nothing of it can be seen. Half a surrogate pair is U+FFFD."""
    if not name.isprintable():
        name = _ODD.sub(_instead, name)
    return name.strip() if _SEEN.search(name) else ""


def _instead(odd: re.Match[str]) -> str:
    flag, found = odd[1], odd[0]
    if flag:
        return flag
    if "\ud800" <= found <= "\udfff":
        return "\ufffd"
    return " " if re.match(f"[{_SPACES}]", found) else ""
