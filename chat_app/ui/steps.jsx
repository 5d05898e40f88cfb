/* What an agent did on its way: a line for each step, with what it took and gave folded away; and what stands below an
answer: its sources, and what may be asked next. */
import { useId, useState } from "react";
import { detailOf, runs } from "./reply_blocks.js";

export function Steps({ steps, growing }) {
  return (
    <ul className="steps" aria-label="Steps">
      {steps.map((step) => (
        <li key={step.id}>
          <Step {...step} growing={growing} />
        </li>
      ))}
    </ul>
  );
}

const ENDS = { done: "done", failed: "failed" };

function Step({ title, state, input, output, steps, growing }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const details = [
    ["Input", detailOf(input)],
    ["Output", detailOf(output)],
  ].filter(([, text]) => text !== undefined);
  // What an answer that was stopped left running does not run any more.
  const working = growing && runs({ state, steps });
  const end = working ? "" : (ENDS[state] ?? "not finished");
  const line = (
    <span>
      {title.replace(/\s*(…|\.{3})$/, "")} … <span className="state">{end}</span>
    </span>
  );
  if (details.length === 0 && steps.length === 0) {
    return (
      <div className="fold bare" data-state={end} data-works={working || undefined}>
        <Dot />
        {line}
      </div>
    );
  }
  return (
    <div data-works={working || undefined}>
      <button type="button" className="fold" data-state={end} aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
        <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">
          <path d="m9 6 6 6-6 6" />
        </svg>
        {line}
      </button>
      <div id={id} className="folded" hidden={!open}>
        {open &&
          details.map(([name, text]) => (
            <figure key={name} className="detail">
              <figcaption>{name}</figcaption>
              <pre tabIndex={0} dir="auto">
                {text}
              </pre>
            </figure>
          ))}
        {open && steps.length > 0 && <Steps steps={steps} growing={growing} />}
      </div>
    </div>
  );
}

function Dot() {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d="M12 11.9v.2" strokeWidth="5" />
    </svg>
  );
}

export function Sources({ sources }) {
  const id = useId();
  return (
    <section className="sources" aria-labelledby={id}>
      <p id={id}>Sources</p>
      <ol>
        {sources.map(({ title, url, snippet }) => (
          <li key={url ?? title} dir="auto">
            {url === undefined ? <span>{title}</span> : <SourceLink title={title} url={url} />}
            {snippet && <p className="snippet">{snippet}</p>}
          </li>
        ))}
      </ol>
    </section>
  );
}

function SourceLink({ title, url }) {
  return (
    <a href={url} title={url} target="_blank" rel="noopener noreferrer nofollow">
      <span className="source-title">{title}</span>
      {title !== url && <span className="address">{url.replace(/^https?:\/\/(www\.)?/i, "").replace(/\/$/, "")}</span>}
    </a>
  );
}

/** `button(text)` makes the button that asks it. */
export function Suggested({ texts, button }) {
  return (
    <div className="suggested" role="group" aria-label="What to ask next">
      {texts.map(button)}
    </div>
  );
}
