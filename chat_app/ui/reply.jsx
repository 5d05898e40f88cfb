/* An assistant's reply, the same on every page of ours: its parts in their order. */
import { Markdown } from "./markdown.jsx";
import { Thoughts } from "./thoughts.jsx";

const GROWING = ["text", "reasoning"];

/** `parts` as in reply_text.js; `fetchThoughts(n)` promises the text of its nth thoughts where a part has none. */
export function Reply({ parts, growing, fetchThoughts }) {
  const shown = growing && !GROWING.includes(parts.at(-1)?.type) ? [...parts, { type: "text", text: "" }] : parts;
  let thoughts = 0;
  return (
    <div className="reply">
      {shown.map((part, i) => {
        if (part.type === "reasoning") {
          const nth = thoughts++;
          return <Thoughts key={i} {...part} fetchText={() => fetchThoughts(nth)} />;
        }
        const grows = growing && i === shown.length - 1;
        if (part.type !== "text" || (part.text.trim() === "" && !grows)) return null;
        return <Markdown key={i} text={part.text} growing={grows} />;
      })}
    </div>
  );
}
