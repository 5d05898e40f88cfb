"""What stands where a chat will be, until it is loaded."""

import reflex as rx

# Before the first paint: only the browser knows yet whether a chat or the empty page was asked for.
PLACE = 'document.documentElement.dataset.place = location.pathname.startsWith("/c/") ? "chat" : "home";'
# A page whose scripts do not come stays blank. That is so behind a proxy that serves the app below a path.
LOST = """
{
  const lost = ({ target }) => {
    if (!target.matches?.("script[type=module], link[rel=modulepreload]")) return;
    removeEventListener("error", lost, true);
    const below = !/^[/](c[/].*|embed)?$/.test(location.pathname);
    const line = document.createElement("p");
    line.setAttribute("role", "alert");
    line.style.cssText = "font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 15vh auto; padding: 0 1rem";
    line.textContent = below
      ? `This app needs a host of its own: its files are not at ${location.origin}/assets, so it does not work below ` +
        `the path ${location.pathname}. Serve it at https://chat.example.org/, for example.`
      : "The page could not be loaded whole. The server or the network may be away; load the page again.";
    document.body.prepend(line);
  };
  addEventListener("error", lost, true);
  addEventListener("load", () => removeEventListener("error", lost, true));
}
"""


def place_script() -> rx.Component:
    return rx.el.script(PLACE + LOST)


def skeleton() -> rx.Component:
    return rx.el.div(
        rx.el.div(*[rx.el.span() for _ in range(5)], class_name="column"),
        aria_hidden=True,
        class_name="skeleton",
    )
