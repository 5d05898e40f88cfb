/* What holds for the page and /embed alike, so that they work in each browser as it is. */
import { replaceClipboard } from "./clipboard.js";
import { runDrawer } from "./drawer.js";
import { keepFocus } from "./focus.js";
import { listenToKeys } from "./keyboard.js";
import { showTooltips } from "./tooltips.js";
import { surviveTranslation } from "./translation.js";
import { fitViewport } from "./viewport.js";

// The page's first HTML is made without a browser.
if (typeof document !== "undefined") {
  for (const start of [surviveTranslation, replaceClipboard, keepFocus, listenToKeys, runDrawer, showTooltips, fitViewport])
    start();
}
