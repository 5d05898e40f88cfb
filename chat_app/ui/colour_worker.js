/* The worker that colours code, for colours.js. */
import { highlighter } from "$/public/external/chat_app/ui/elements/highlighter.js";

const colour = highlighter((answer) => postMessage(answer));
addEventListener("message", ({ data }) => colour(data));
