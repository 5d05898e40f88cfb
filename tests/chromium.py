"""Where the real browser is: an installed Chromium or Chrome, else one is installed.

The tests prefer Chromium's headless shell, the same engine without the window: a page takes two thirds of the time in
it. The figures and the pictures are those of the full browser, which people have.

`python -m tests.chromium` makes sure that there is one and says where, with `full` a full one. With `early` before it,
it only does what needs neither the virtual environment nor an answer: where apt-get works, it installs the browser that
is missing, and the programs that are named behind it.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

SHELLS = ["chromium-headless-shell", "chrome-headless-shell"]
FULL = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
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
# Names that lead to this machine: one whose owner lets it do so, and the one of the proxies.
REBOUND = "rebound.example"
SITE = "chat.example.org"
RESOLVED = f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1, MAP {SITE} 127.0.0.1"
# Of Playwright's own: people's browsers have the cache of pages out of which "Back" takes them. Only where that is
# tested: a tab that is left for another site may be closed beneath Playwright.
NOT_WITH_CACHE = ["--disable-back-forward-cache"]


def find(full: bool = False) -> str | None:
    """The path of a browser that is there; with `full` none that has no window."""
    shells = [] if full else [*map(shutil.which, SHELLS), *_cached("chromium_headless_shell-*/chrome-*/chrome-*shell")]
    named = [os.environ.get("CHROMIUM"), *shells, *map(shutil.which, FULL), *PLACES]
    paths = [*named, *_cached("chromium-*/chrome-*/*hrom*")]
    return next((path for path in paths if path and os.access(path, os.X_OK) and Path(path).is_file()), None)


def _cached(pattern: str) -> list[str]:
    """What Playwright has installed."""
    return [str(path) for cache in PLAYWRIGHT_CACHES for path in cache.glob(pattern)]


def install(full: bool = False) -> None:
    """With apt-get where that works, else Playwright's own."""
    if apt_get_works():
        install_with_apt_get(*missing_packages(full))
    else:
        print("Installing Chromium with Playwright …", flush=True)
        _runs(sys.executable, "-m", "playwright", "install", "chromium")


def missing_packages(full: bool = False) -> list[str]:
    """On Debian the shell, too, where there is only a full browser: what it saves in one run pays for it."""
    if platform.freedesktop_os_release().get("ID") != "debian":
        # Ubuntu and others that are made of it have no such package.
        return [] if find(full) else [FULL[0]]
    browser = find(full=True)
    shell = [] if os.environ.get("CHROMIUM") or find() != browser else [SHELLS[0]]
    return shell if browser or not full else [*shell, FULL[0]]


def apt_get_works() -> bool:
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install_with_apt_get(*packages: str) -> None:
    print(f"Installing {', '.join(packages)} with apt-get …", flush=True)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
    if not (_runs("apt-get", "update", "-qq") and _runs(*install, *packages)) and SHELLS[0] in packages:
        rest = {*packages, *([] if find() else [FULL[0]])} - {SHELLS[0]}
        _runs(*install, *rest)


def _runs(*command: str) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0


def require(full: bool = False) -> str:
    """The path of a browser; installs one where there is none. Exits with a sentence where that fails."""
    if find(full) is None:
        install(full)
    return find(full) or sys.exit(HELP)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["early", *given]:
            if apt_get_works():
                missing = missing_packages("full" in given)
                missing += [name for name in given if name != "full" and shutil.which(name) is None]
                if missing:
                    install_with_apt_get(*missing)
        case given:
            print(f"The tests use {require(full=given == ['full'])}")
