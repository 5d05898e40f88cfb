/* What holds for the page and /embed alike, so that they work in each browser as it is. */
import { appendText } from "./appended.js";
import { replaceClipboard } from "./clipboard.js";
import { runDrawer } from "./drawer.js";
import { keepFocus } from "./focus.js";
import { listenToKeys } from "./keyboard.js";
import { showTooltips } from "./tooltips.js";
import { surviveTranslation } from "./translation.js";
import { fitViewport } from "./viewport.js";

// The page's first HTML is made without a browser.
if (typeof document !== "undefined") {
  // Beneath what survives translations, which writes into another node where there is one.
  for (const start of [appendText, surviveTranslation, replaceClipboard, keepFocus, listenToKeys, runDrawer, showTooltips, fitViewport])
    start();
}
