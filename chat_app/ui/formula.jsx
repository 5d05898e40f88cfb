/* A formula: its TeX, until KaTeX is there or where KaTeX cannot read it. */
import { memo, useEffect, useReducer } from "react";
import { useWide } from "./wide.js";

let typeset = null;
let loading = null;

function useTypeset() {
  const [, showAgain] = useReducer((n) => n + 1, 0);
  useEffect(() => {
    if (typeset) return;
    loading ??= import("./katex.js").then((module) => (typeset = module.typeset));
    loading.then(showAgain);
  }, []);
  return typeset;
}

// Within a text a formula breaks between its terms; one of these does not.
const UNBREAKABLE = /\\(?:begin|rule|h?space|kern|mkern|hskip|phantom|underbrace|overbrace|[dt]?frac)\b|.{80}/;

export const Formula = memo(function Formula({ tex, display, open }) {
  const set = useTypeset();
  const html = set && !open ? set(tex, display) : null;
  const shown = html ? <span dangerouslySetInnerHTML={{ __html: html }} /> : <code className="tex">{tex}</code>;
  if (display) return <Wide tag="div" className="formula" shown={shown} />;
  if (html && UNBREAKABLE.test(tex)) return <Wide tag="span" className="formula unbreakable" shown={shown} />;
  return <span className="formula">{shown}</span>;
});

function Wide({ tag: Tag, className, shown }) {
  return (
    <Tag className={className} ref={useWide()} dir="ltr">
      {shown}
    </Tag>
  );
}
