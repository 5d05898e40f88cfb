"""The browser's storage, where it works and where it does not: a convenience, never needed.

With blocked site data the mere mention of `localStorage` throws, and a full one throws when it is written to. Reflex
expects neither. So both storages get a stand-in that keeps in memory what they do not take.
"""

import reflex as rx

# In the head, before any other script. A form is not sent by the browser itself either: the page would be loaded anew,
# and what was typed before its scripts ran would be lost.
STORAGE = """\
for (const name of ["localStorage", "sessionStorage"]) {
  let real = null;
  try {
    real = window[name];
    real.getItem("");
  } catch {
    real = null;
  }
  const kept = new Map();
  const tried = (action) => {
    try {
      return real && action();
    } catch {
      return null;
    }
  };
  const storage = {
    getItem: (key) => (kept.has(String(key)) ? kept.get(String(key)) : tried(() => real.getItem(key))),
    setItem(key, value) {
      kept.delete(String(key));
      const stored = tried(() => (real.setItem(key, value), true));
      if (stored) return;
      // An older value must not be there again after a reload.
      tried(() => real.removeItem(key));
      kept.set(String(key), String(value));
    },
    removeItem(key) {
      kept.delete(String(key));
      tried(() => real.removeItem(key));
    },
    clear() {
      kept.clear();
      tried(() => real.clear());
    },
    key: (n) => [...(tried(() => Object.keys(real)) ?? []), ...kept.keys()][n] ?? null,
    get length() {
      return (tried(() => real.length) ?? 0) + kept.size;
    },
  };
  try {
    Object.defineProperty(window, name, { value: storage, configurable: true });
  } catch {
    // It cannot be replaced here.
  }
}
addEventListener("submit", (event) => event.target.method === "dialog" || event.preventDefault(), true);
"""


def storage_script() -> rx.Component:
    return rx.el.script(STORAGE)
