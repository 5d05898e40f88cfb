"""What a page of your own may be built from, beside Reflex's components: the names in `__all__`.

Apart from `rill`, for it loads Reflex.
"""

from chat_app.ui.blocks import TOKENS, Said, follow, start, token, transcript
from chat_app.ui.elements import Fonts, Markdown
from chat_app.ui.own import own
from chat_app.ui.stream_chat import StreamChat

__all__ = ["TOKENS", "Fonts", "Markdown", "Said", "StreamChat", "follow", "own", "start", "token", "transcript"]
