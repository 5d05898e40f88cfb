"""Where things lie: the app's own files, which nothing writes once it is installed, and the folder of who runs it.

In a checkout both are the same. A wheel brings the files in `chat_app/shipped/`, and runs in whatever folder it is
started from: settings, chats and modules of one's own are there, and `.rill/` where a page must be built.
"""

import os
from pathlib import Path

VARIABLE = "RILL_FOLDER"
"""Names `ROOT` to programs that the app starts in another folder. No setting: an installed app runs where you are."""
PACKAGES = Path(__file__).resolve().parent.parent
"""What holds the package `chat_app`."""
SHIPPED = PACKAGES / "chat_app" / "shipped"
INSTALLED = SHIPPED.is_dir()
FILES = SHIPPED if INSTALLED else PACKAGES
"""With rxconfig.py, assets/, reflex.lock/ and docs/."""
ROOT = Path(os.environ.get(VARIABLE) or Path.cwd()).resolve() if INSTALLED else PACKAGES
"""With `.env` and data/."""
WORKSHOP = ROOT / ".rill" if INSTALLED else ROOT
"""Where the page is built."""
