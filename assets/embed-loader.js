/* Puts the chat into someone else's page:

    <script src="https://chat.example/embed-loader.js" data-accent="#0b6f6a" data-greeting="Ask us"></script>

data-accent, data-greeting, data-theme (light or dark): see /embed. data-width, data-height: of the frame, in CSS.
data-title: its name for screen readers. data-target: a selector of the element to put it into; without one it comes
where the script is. The page's origin must be in CORS_ALLOWED_ORIGINS of the app. */
(() => {
  const READY_MS = 15000;
  const script = document.currentScript;
  const { accent, greeting, theme, target, title = "Chat", width = "100%", height = "36rem" } = script.dataset;

  const address = new URL("/embed", script.src);
  for (const [name, value] of Object.entries({ accent, greeting, theme })) {
    if (value) address.searchParams.set(name, value);
  }
  const frame = document.createElement("iframe");
  frame.src = address.href;
  frame.title = title;
  frame.allow = "clipboard-write";
  Object.assign(frame.style, { display: "block", border: "0", maxWidth: "100%", width, height });

  const place = () => {
    const element = target && document.querySelector(target);
    if (element) element.append(frame);
    else if (document.head.contains(script)) document.body.append(frame);
    else script.after(frame);
  };
  const refused = setTimeout(() => {
    console.warn(`The chat at ${address.origin} did not open. Is ${location.origin} in its CORS_ALLOWED_ORIGINS?`);
  }, READY_MS);
  addEventListener("message", (event) => {
    if (event.source === frame.contentWindow && event.data?.type === "rill:ready") clearTimeout(refused);
  });
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", place);
  else place();
})();
