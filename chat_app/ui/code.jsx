/* A block of code: its lines as they come, coloured as far as shiki has read them.

Own, for Streamdown's renders every line anew at each update, and shows no new text before it is coloured. */
import { memo } from "react";
import {
  CodeBlockContainer,
  CodeBlockCopyButton,
  CodeBlockHeader,
} from "streamdown";
import { useColours } from "./colours.js";
import { Diagram } from "./diagram.jsx";
import { Formula } from "./formula.jsx";

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
        <pre translate="no">
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

/* What a fence shows: code, or what is drawn of it. */
export function Fence({ code, language, growing }) {
  const name = language.toLowerCase();
  if (name === "math") return <Formula tex={code.trim()} display open={growing} />;
  if (name === "mermaid" && !growing) return <Diagram chart={code} />;
  return <Code code={code} language={language} growing={growing} />;
}

const OPENING = /^( {0,3})(`{3,}(?=[^`\n]*(?:\n|$))|~{3,})[ \t]*([^\s]*)[^\n]*(?:\n|$)/;

/* The code of a block of markdown that is a fence and nothing else; null where it is not. */
export function fenced(block) {
  const [opening, indent, marks, language] = OPENING.exec(block) ?? [];
  if (!marks) return null;
  const body = block.slice(opening.length);
  const closing = new RegExp(`^ {0,3}${marks[0]}{${marks.length},}[ \\t]*$`, "m").exec(body);
  const code = closing ? body.slice(0, closing.index) : body;
  if (closing && body.slice(closing.index + closing[0].length).trim()) return null;
  return { language, code: indent ? code.replace(new RegExp(`^ {1,${indent.length}}`, "gm"), "") : code, closed: closing !== null };
}
