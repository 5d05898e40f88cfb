/* Puts the chat into someone else's page:

    <script src="https://chat.example/embed-loader.js" data-accent="#0b6f6a" data-greeting="Ask us"></script>

data-accent, data-greeting, data-theme (light or dark): see /embed. data-width, data-height: of the frame, in CSS.
data-user, data-expires, data-signature: who uses it, signed by your server (docs/api.md).
data-title: its name for screen readers. data-target: a selector of the element to put it into; without one it comes
where the script is. The page's origin must be in CORS_ALLOWED_ORIGINS of the app.

With type="module" it is the same. Where another module imports it there is no such element: then each element
<div data-rill="https://chat.example" data-accent="#0b6f6a"></div> gets a chat, from the app that it names. */
(() => {
  const READY_MS = 15000;
  // A module has no `currentScript`, runs once for all elements that name it, and when the page has been read. (It would
  // have `import.meta`, of which a script that is no module may not even speak.)
  const MODULES = "script[type=module][src*='embed-loader.js']";

  function open(element, source, into) {
    const { user, expires = "", signature = "" } = element.dataset;
    const { accent, greeting, theme, title = "Chat", width = "100%", height = "36rem" } = element.dataset;
    const address = new URL("/embed", source);
    for (const [name, value] of Object.entries({ accent, greeting, theme })) {
      if (value) address.searchParams.set(name, value);
    }
    // Behind the #, which is sent to no server and stands in no log.
    if (user) address.hash = new URLSearchParams({ user, expires, signature });
    const frame = document.createElement("iframe");
    frame.src = address.href;
    frame.title = title;
    frame.allow = "clipboard-write";
    Object.assign(frame.style, { display: "block", border: "0", maxWidth: "100%", width, height });
    into(frame);
    const refused = setTimeout(() => {
      console.warn(`The chat at ${address.origin} did not open. Is ${location.origin} in its CORS_ALLOWED_ORIGINS?`);
    }, READY_MS);
    addEventListener("message", (event) => {
      if (event.source === frame.contentWindow && event.data?.type === "rill:ready") clearTimeout(refused);
    });
  }

  function beside(script, frame) {
    const { target } = script.dataset;
    const element = target && document.querySelector(target);
    if (element) element.append(frame);
    else if (document.head.contains(script)) document.body.append(frame);
    else script.after(frame);
  }

  const script = document.currentScript;
  const place = () => {
    for (const one of script ? [script] : document.querySelectorAll(MODULES)) {
      open(one, one.src, (frame) => beside(one, frame));
    }
    for (const one of script ? [] : document.querySelectorAll("[data-rill]:empty")) {
      open(one, one.dataset.rill, (frame) => one.append(frame));
    }
  };
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", place);
  else place();
})();
