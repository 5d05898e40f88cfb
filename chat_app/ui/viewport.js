/* How high the page is above a keyboard on the screen: Safari covers the page with it, others make the page lower. */
const LOW = 500;

function fit() {
  const { height, scale } = visualViewport;
  // A person who zooms in wants to see the same page larger.
  if (scale > 1.01) return;
  document.documentElement.style.setProperty("--height", `${height}px`);
  document.documentElement.toggleAttribute("data-low", height < LOW);
  // Safari moves the page up for the field, which is in view already.
  if (document.scrollingElement.scrollTop) document.scrollingElement.scrollTop = 0;
}

export function fitViewport() {
  if (!globalThis.visualViewport) return;
  const meta = document.querySelector("meta[name=viewport]");
  if (meta && !meta.content.includes("interactive-widget")) meta.content += ", interactive-widget=resizes-content";
  visualViewport.addEventListener("resize", fit);
  fit();
}
