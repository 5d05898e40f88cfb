"""Where the real browser is: an installed Chromium or Chrome, else one is installed.

`python -m tests.chromium` makes sure that there is one and says where. With `early` it only does what needs neither
the virtual environment nor an answer: where apt-get works, it installs a browser that is missing, and the programs that
are named behind it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
PLACES = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
]
PLAYWRIGHT_CACHES = [Path.home() / ".cache/ms-playwright", Path.home() / "Library/Caches/ms-playwright"]
# Chromium's own pop-ups of its address bar: two pages more for each of ours, which cost more than ours does. The list
# takes the place of Playwright's; the rest of it is what that has and matters here.
WITHOUT = [
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "DestroyProfileOnBrowserClose",
    "OptimizationHints",
    "PaintHolding",
]
HELP = "No browser for the tests. Install Chromium or Chrome, or set CHROMIUM to the path of one, then run again."
ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(WITHOUT)}",
]
# Of Playwright's own: people's browsers have the cache of pages out of which "Back" takes them. Only where that is
# tested: a tab that is left for another site may be closed beneath Playwright.
NOT_WITH_CACHE = ["--disable-back-forward-cache"]


def find() -> str | None:
    """The path of a browser that is there."""
    named = [os.environ.get("CHROMIUM", ""), *(shutil.which(name) or "" for name in NAMES), *PLACES]
    cached = [str(path) for cache in PLAYWRIGHT_CACHES for path in cache.glob("chromium-*/chrome-*/*hrom*")]
    return next(
        (path for path in [*named, *cached] if path and os.access(path, os.X_OK) and Path(path).is_file()), None
    )


def install() -> None:
    """With apt-get where that works, else Playwright's own."""
    if apt_get_works():
        install_with_apt_get("chromium")
    else:
        print("Installing Chromium with Playwright …", flush=True)
        _runs(sys.executable, "-m", "playwright", "install", "chromium")


def apt_get_works() -> bool:
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install_with_apt_get(*packages: str) -> None:
    print(f"Installing {', '.join(packages)} with apt-get …", flush=True)
    if _runs("apt-get", "update", "-qq"):
        _runs("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)


def _runs(*command: str) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0


def require() -> str:
    """The path of a browser; installs one where there is none. Exits with a sentence where that fails."""
    if find() is None:
        install()
    return find() or sys.exit(HELP)


if __name__ == "__main__":
    if sys.argv[1:2] == ["early"]:
        missing = ["chromium"] * (find() is None) + [name for name in sys.argv[2:] if shutil.which(name) is None]
        if missing and apt_get_works():
            install_with_apt_get(*missing)
    else:
        print(f"The tests use {require()}")
