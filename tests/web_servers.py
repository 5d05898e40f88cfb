"""nginx and Caddy in front of the app, set up with the lines of docs/deploying.md; installed where they are missing."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from chat_app.config import ROOT
from tests import chromium
from tests.app import free_port

HOST = chromium.SITE
START_S = 30.0
NGINX = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/rill.conf;
}}
"""
CADDY = """
{{
    admin off
    skip_install_trust
    auto_https disable_redirects
    storage file_system {folder}/caddy
}}
"""


def require(name: str) -> str:
    """The path of the program; installs it where it is missing. Raises AssertionError, with what to install."""
    if shutil.which(name) is None and chromium.apt_get_works():
        chromium.install_with_apt_get(name)
    path = shutil.which(name)
    assert path, f"{name} is needed. Install it, on Debian with: apt-get install {name}"
    return path


def lines(language: str) -> str:
    """The block of code in this language."""
    [block] = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "deploying.md").read_text(), re.DOTALL)
    return str(block)


def nginx_accepts(folder: Path, text: str) -> str:
    """What `nginx -t` says to a file in conf.d."""
    (folder / "rill.conf").write_text(text)
    (folder / "nginx.conf").write_text(_nginx_conf(folder))
    command = [require("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-t"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@contextmanager
def nginx(folder: Path, app_port: int) -> Iterator[str]:
    """Its address, by HTTP."""
    port = free_port()
    text = _changed(lines("nginx"), {"listen 80;": f"listen 127.0.0.1:{port};", ":3000": f":{app_port}"})
    (folder / "rill.conf").write_text(text)
    (folder / "nginx.conf").write_text(_nginx_conf(folder))
    with _running([require("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, port):
        yield f"http://{HOST}:{port}"


@contextmanager
def caddy(folder: Path, app_port: int) -> Iterator[str]:
    """Its address, by HTTPS with a certificate of its own making."""
    port = free_port()
    site = f"https://{HOST}:{port} {{\n    tls internal"
    text = _changed(lines("caddyfile"), {HOST + " {": site, ":3000": f":{app_port}"})
    (folder / "Caddyfile").write_text(CADDY.format(folder=folder) + text)
    with _running([require("caddy"), "run", "--config", str(folder / "Caddyfile")], folder, port):
        yield f"https://{HOST}:{port}"


def _nginx_conf(folder: Path) -> str:
    return NGINX.format(folder=folder, user="user root;" if os.geteuid() == 0 else "")


def _changed(text: str, by: dict[str, str]) -> str:
    """With other ports: those of the document may be taken."""
    for old, new in by.items():
        assert text.count(old) == 1, f"{old!r} is not once in {text}"
        text = text.replace(old, new)
    return text


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    log = folder / "server.log"
    # What it remembers is not to be in anyone's home.
    environment = os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        _wait_until_it_listens(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait(START_S)


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
        except httpx.ConnectError:
            time.sleep(0.05)
        except httpx.HTTPError:
            # It expects TLS.
            return
        else:
            return
    raise AssertionError(f"it does not listen:\n{log.read_text()}")
