"""What of a provider's words may be shown: one short line of plain characters, without the key. Pure."""

import base64
import re
import unicodedata

QUOTED_CHARS = 300
READ_CHARS = 4_000
"""More of a text is not looked at."""
MASK = "…"
SHORTEST_SECRET = 8
"""So many characters of a key in a row are hidden; a shorter key only as a whole."""


class Secrets:
    """What no sentence may hold: the key, also a good part of it, and what it is sent as."""

    def __init__(self, *secrets: str | None) -> None:
        known = [secret for secret in secrets if secret and len(secret) >= 4]
        coded = [base64.b64encode(secret.encode()).decode().rstrip("=") for secret in known]
        self._secrets = [*known, *coded]

    def quoted(self, text: str) -> str:
        """At most `QUOTED_CHARS` characters on one line, without controls and what turns the direction of text."""
        plain = "".join(map(_plain, text[:READ_CHARS]))
        masked = self._masked(" ".join(plain.split()))
        return masked if len(masked) <= QUOTED_CHARS else masked[:QUOTED_CHARS].rstrip() + "…"

    def _masked(self, text: str) -> str:
        text = re.sub(r"(?i)\b(bearer|basic)\s+[\w.~+/=*-]{6,}", rf"\1 {MASK}", text)
        text = re.sub(
            r"(?i)((api[-_]?key|authorization|token|key)[\"']?\s*[=:]\s*[\"']?)[\w.~+/*-]{12,}", rf"\1{MASK}", text
        )
        text = re.sub(r"\b(sk|pk|gsk|xai|hf|key)[-_][\w*.-]{6,}", MASK, text)
        text = re.sub(r"//[^/@\s]+@", "//", text)
        hidden = [False] * len(text)
        for secret in self._secrets:
            size = min(SHORTEST_SECRET, len(secret))
            for part in {secret[at : at + size] for at in range(len(secret) - size + 1)}:
                for match in re.finditer(re.escape(part), text):
                    hidden[match.start() : match.end()] = [True] * size
        return re.sub("\0+", MASK, "".join("\0" if hide else char for char, hide in zip(text, hidden, strict=True)))


def _plain(char: str) -> str:
    """Controls and line ends become a space; what is invisible, or turns the direction of text, is left out."""
    category = unicodedata.category(char)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    return "" if category in ("Cf", "Cs", "Co", "Cn") else char
