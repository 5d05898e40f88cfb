/* The windows of the growing answer, taken from the page's socket below Reflex: what Reflex does for a delta would take
longer than all else that a few characters need. */
import { Socket } from "socket.io-client";

// As window.py names it.
const EVENT = "w";
const listeners = new Set();
const { onevent } = Socket.prototype;

Socket.prototype.onevent = function (packet) {
  const [name, window] = packet.data ?? [];
  if (name === EVENT) listeners.forEach((take) => take(window));
  else onevent.call(this, packet);
};

/** `take` gets each window, [offset, text], of the answer that the page's state names. Returns how to end that. */
export function onWindow(take) {
  listeners.add(take);
  return () => listeners.delete(take);
}
