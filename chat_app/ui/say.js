/* A sentence for the person, where no part of the page is there to say it. */
const SHOWN_MS = 10_000;

export function say(sentence) {
  document.querySelector(".said")?.remove();
  const line = document.createElement("p");
  line.className = "said";
  line.setAttribute("role", "alert");
  line.textContent = sentence;
  // What is beside an open dialog is out of reach.
  (document.querySelector("dialog[open]") ?? document.body).append(line);
  setTimeout(() => line.remove(), SHOWN_MS);
}
