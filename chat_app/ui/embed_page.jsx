/* The page at /embed: the chat, dressed by the parameters of its address.

    accent    a colour as #rgb or #rrggbb, with or without the #; made lighter or darker where it would be hard to read
    greeting  the sentence on the empty page
    theme     light or dark; without it as the system is

Anything else in them is ignored. */
import { createRoot } from "react-dom/client";
import { StreamChat } from "./stream_chat.jsx";
import { namedUser, visitorOf } from "./visitor.js";

const MAX_GREETING = 200;
// Of text against its background.
const CONTRAST = 4.5;
const user = namedUser();
// Each user has an own draft and open chat: others may have used this tab.
const of = user ? `:${user.user}` : "";
const CHAT = `embed:chat${of}`;
const SESSION = "embed:session";

const root = document.documentElement;
const given = new URLSearchParams(location.search);

function channels(colour) {
  const [, short, long] = /^#?(?:([\da-f]{3})|([\da-f]{6}))$/i.exec(colour ?? "") ?? [];
  const digits = short ? short.replace(/./g, "$&$&") : long;
  return digits && [0, 2, 4].map((start) => parseInt(digits.slice(start, start + 2), 16));
}

/** WCAG 2's relative luminance. */
function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

function mixed(rgb, other, share) {
  return rgb.map((value, i) => Math.round(value + (other[i] - value) * share));
}

/** The colour itself, or as little nearer to black or white as makes it readable. */
function readable(rgb, background) {
  const goal = luminance(background) > 0.5 ? [0, 0, 0] : [255, 255, 255];
  for (let share = 0; share < 1; share += 0.05) {
    const candidate = mixed(rgb, goal, share);
    if (contrast(candidate, background) >= CONTRAST) return candidate;
  }
  return goal;
}

function dress() {
  const dark = given.get("theme") === "dark" || (given.get("theme") !== "light" && system.matches);
  root.classList.toggle("dark", dark);
  root.classList.toggle("light", !dark);
  root.style.colorScheme = dark ? "dark" : "light";
  const accent = channels(given.get("accent"));
  if (!accent) return;
  const primary = readable(
    accent,
    channels(getComputedStyle(root).getPropertyValue("--background").trim()) ?? [255, 255, 255],
  );
  const on = contrast(primary, [255, 255, 255]) >= CONTRAST ? [255, 255, 255] : [0, 0, 0];
  root.style.setProperty("--primary", `rgb(${primary})`);
  root.style.setProperty("--on-primary", `rgb(${on})`);
  root.style.setProperty("--accent-soft", `rgb(${primary} / 0.12)`.replaceAll(",", " "));
}

/** "" is a new one: a user's own comes back by itself only where none was open yet. */
const remember = (chatId) => sessionStorage.setItem(CHAT, chatId);

const system = matchMedia("(prefers-color-scheme: dark)");
system.addEventListener("change", dress);
dress();

const visitor = root.dataset.visitors === "true" ? visitorOf(user) : null;
const open = sessionStorage.getItem(CHAT) ?? (user && visitor ? await visitor.newest() : null);
const session = localStorage.getItem(SESSION) ?? crypto.getRandomValues(new Uint32Array(4)).join("");
localStorage.setItem(SESSION, session);
const own = document.querySelector("meta[name=greeting]")?.content;
const name = document.title;
const greeting = given.get("greeting")?.slice(0, MAX_GREETING).trim() || own;
createRoot(document.getElementById("root")).render(
  <main style={{ height: "var(--height, 100dvh)" }}>
    <h1 className="visually-hidden">Chat</h1>
    <StreamChat
      chatId={open || null}
      greeting={greeting}
      headers={{ "X-Session-Id": session }}
      fetch={visitor?.fetch}
      measure={root.dataset.measures === "true"}
      door="embed"
      onChat={remember}
      onTitle={(title) => (document.title = title || name)}
      storage={sessionStorage}
      storedAs={`embed${of}`}
    />
  </main>,
);
// For embed-loader.js, which can say what to do where it never comes.
if (parent !== window) parent.postMessage({ type: "rill:ready" }, "*");
