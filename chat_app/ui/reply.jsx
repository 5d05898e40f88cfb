/* An assistant's reply, the same on every page of ours: its parts in their order, below them its sources. */
import { Markdown } from "./markdown.jsx";
import { blocksOf, runs } from "./reply_blocks.js";
import { Sources, Steps, Suggested } from "./steps.jsx";
import { Thoughts } from "./thoughts.jsx";

/** `parts` as in reply_text.js; `fetchThoughts(n)` promises the text of its nth thoughts where a part has none,
    `suggestion(text)` makes a button that asks what the agent suggests, and `onDrawn(text)` is Markdown's. */
export function Reply({ parts, growing, fetchThoughts, suggestion, onDrawn }) {
  const { blocks, sources, suggestions } = blocksOf(parts);
  const last = blocks.at(-1);
  const waits = growing && (last === undefined || (last.type === "steps" && !last.steps.some(runs)));
  const shown = waits ? [...blocks, { type: "text", text: "" }] : blocks;
  let thoughts = 0;
  return (
    <div className="reply">
      {shown.map((block, i) => {
        if (block.type === "reasoning") {
          const nth = thoughts++;
          return <Thoughts key={i} {...block} fetchText={() => fetchThoughts(nth)} />;
        }
        if (block.type === "steps") return <Steps key={i} steps={block.steps} growing={growing} />;
        const grows = growing && i === shown.length - 1;
        if (block.text.trim() === "" && !grows) return null;
        return <Markdown key={i} text={block.text} growing={grows} onDrawn={onDrawn} />;
      })}
      {sources.length > 0 && <Sources sources={sources} />}
      {suggestion && !growing && suggestions.length > 0 && <Suggested texts={suggestions} button={suggestion} />}
    </div>
  );
}
