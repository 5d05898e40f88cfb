"""The connection: the sign that tells how it is (connection.jsx), and what notices that a connection is dead.

Reflex reconnects when the websocket closes, and loads the page's state anew; engine.io closes it when the browser goes
offline. But a socket whose machine slept closes only minutes later by itself.
"""

import reflex as rx
from reflex_components_core.core.banner import connect_errors

from chat_app.ui.elements import Connection
from chat_app.ui.session import Session

# In the head, before Reflex opens its socket, which it keeps to itself.
WATCH = """
(() => {
  const AWAY_MS = 20000;
  const sockets = new Set();
  window.WebSocket = class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      if (!String(url).includes("/_event")) return;
      sockets.add(this);
      this.addEventListener("close", ({ code }) => {
        sockets.delete(this);
        // Whoever signed in here is signed out: see chat_app/people/connections.py.
        if (code !== 4401 || window.rillSignsOut) return;
        location.assign("/login?next=" + encodeURIComponent(location.pathname));
      });
    }
  };
  // Reflex closes its socket before the page is left: at `pagehide`, and at `beforeunload` already, which comes where
  // nothing is left, too: at a link to an e-mail address or into another program. Nobody would open it again.
  const listen = window.addEventListener;
  window.addEventListener = function (type, listener, ...options) {
    if (type === "beforeunload" && String(listener).includes("Disconnect websocket")) return;
    listen.call(this, type, listener, ...options);
  };
  const renew = (old = sockets) => {
    // A copy: the next socket is there before the end of this one is told.
    for (const socket of [...old]) {
      const opening = socket.readyState === WebSocket.CONNECTING;
      socket.close();
      // At once: the handshake of a real close has nobody to answer it. Of one that opens, only an error is heard.
      socket.dispatchEvent(opening ? new Event("error") : new CloseEvent("close", { code: 1006 }));
    }
  };
  let seen = Date.now();
  const back = () => {
    if (Date.now() - seen > AWAY_MS) renew();
    seen = Date.now();
  };
  // Timers stand still while a machine sleeps, and nearly so in a hidden tab.
  setInterval(() => document.visibilityState === "visible" && back(), 5000);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") back();
    else seen = Date.now();
  });
  // Out of the browser's cache, before which Reflex closes its socket. It may have opened the next one by now.
  let left = [];
  addEventListener("pagehide", () => (left = [...sockets]));
  addEventListener("pageshow", (event) => event.persisted && renew(left.filter((socket) => sockets.has(socket))));
})();
"""


def connection_watch() -> rx.Component:
    return rx.el.script(WATCH)


def connection_chip() -> rx.Component:
    return Connection.create(
        errors=connect_errors, hydrated=rx.State.is_hydrated, whole=Session.whole_replies, measured=Session.measured
    )
