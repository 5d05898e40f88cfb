/* A block of code: its lines as they come, coloured as far as shiki has read them.

Own, for Streamdown's renders every line anew at each update, and shows no new text before it is coloured. */
import { memo } from "react";
import {
  CodeBlockContainer,
  CodeBlockCopyButton,
  CodeBlockHeader,
  defaultComponents,
  useIsCodeFenceIncomplete,
} from "streamdown";
import { useColours } from "./colours.js";

// What is shown as something else than code.
const DRAWN = ["math", "mermaid"];

// The colours may be those of a moment ago: what came since then is shown plain.
function pieces(line, tokens) {
  const coloured = tokens.map((token) => token.content).join("");
  if (!line.startsWith(coloured)) return line;
  return [
    ...tokens.map((token, i) => (
      <span key={i} style={token.htmlStyle}>
        {token.content}
      </span>
    )),
    line.slice(coloured.length),
  ];
}

const NONE = [];

const Line = memo(function Line({ text, tokens }) {
  return <span className="block">{text ? pieces(text, tokens) : "\n"}</span>;
});

export const Code = memo(function Code({ code, language, growing }) {
  const text = code.replace(/\n+$/, "");
  const rows = useColours(text, language, growing);
  return (
    <CodeBlockContainer dir="ltr" language={language} isIncomplete={growing}>
      <CodeBlockHeader language={language} />
      <div data-streamdown="code-block-actions">
        <CodeBlockCopyButton code={code} />
      </div>
      {/* It scrolls sideways, also for those who have no mouse. */}
      <div data-streamdown="code-block-body" data-language={language} tabIndex={0}>
        <pre>
          <code>
            {text.split("\n").map((line, i) => (
              <Line key={i} text={line} tokens={rows[i] ?? NONE} />
            ))}
          </code>
        </pre>
      </div>
    </CodeBlockContainer>
  );
});

/* The same for code within a list or a quote, as Streamdown's renderer hands it over. */
export function NestedCode(props) {
  const growing = useIsCodeFenceIncomplete();
  const [, language = ""] = /language-(\S+)/.exec(props.className ?? "") ?? [];
  if (DRAWN.includes(language)) return <defaultComponents.code {...props} />;
  return <Code code={props.children ?? ""} language={language} growing={growing} />;
}

const OPENING = /^(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n`]*(?:\n|$)/;

/* The code of a block of markdown that is a fence and nothing else; null where it is not. */
export function fenced(block) {
  const [opening, marks, language] = OPENING.exec(block) ?? [];
  if (!marks || DRAWN.includes(language)) return null;
  const body = block.slice(opening.length);
  const closing = new RegExp(`^ {0,3}${marks[0]}{${marks.length},}[ \\t]*$`, "m").exec(body);
  if (!closing) return { language, code: body };
  const after = body.slice(closing.index + closing[0].length);
  return after.trim() ? null : { language, code: body.slice(0, closing.index) };
}
