/* The textareas: of the message box, and of the small forms within the page. In both Enter sends where
there is a mouse. The form around each, its buttons and its handlers are Python's. */
import { useEffect, useRef } from "react";
import { useLocation } from "react-router";
import { composing, enterKeyHint, hovers, sends } from "./touch.js";

// Where CSS can size a field by its content (see chat.css): measuring 100 KB of text at every key is slow.
const GROWS_BY_ITSELF = typeof CSS !== "undefined" && CSS.supports("field-sizing", "content");

// Sent by composer.py.
const RESTORE_EVENT = "chat:restore-draft";

function sendOnEnter(event) {
  if (!sends(event.nativeEvent)) return;
  event.preventDefault();
  event.currentTarget.form.requestSubmit();
}

/* Grows with its text, and the draft of each chat survives a reload. */
export function MessageBox({ busy, ...props }) {
  const ref = useRef(null);
  const keep = useRef(true);
  // By address, not by what the server calls the open chat: it lags behind a click on another chat.
  const draft = `draft:${useLocation().pathname}`;

  function changed() {
    const area = ref.current;
    if (!area) return;
    if (!GROWS_BY_ITSELF) {
      area.style.height = "auto";
      area.style.height = `${area.scrollHeight}px`;
    }
    area.form?.toggleAttribute("data-empty", area.value.trim() === "");
    if (area.value) localStorage.setItem(draft, area.value);
    else localStorage.removeItem(draft);
  }

  useEffect(() => {
    const area = ref.current;
    const form = area.form;
    // What was typed before the page was alive counts, and what was typed while the first message of a new chat gave the
    // page its address. What was typed for another chat is that one's draft.
    const mine = keep.current ? area.value : "";
    keep.current = false;
    if (mine) localStorage.removeItem("draft:/");
    area.value = mine || (localStorage.getItem(draft) ?? "");
    changed();
    // After the form has been read and reset.
    const cleared = () => {
      keep.current = draft === "draft:/";
      setTimeout(changed);
    };
    // A refused message comes back, unless something new was typed meanwhile.
    const restore = (event) => {
      area.value ||= event.detail;
      changed();
    };
    const guard = (event) => {
      if (busyRef.current || area.value.trim() === "") {
        event.preventDefault();
        event.stopPropagation();
      }
    };
    form.addEventListener("reset", cleared);
    form.addEventListener("submit", guard);
    window.addEventListener(RESTORE_EVENT, restore);
    if (hovers()) area.focus();
    return () => {
      form.removeEventListener("reset", cleared);
      form.removeEventListener("submit", guard);
      window.removeEventListener(RESTORE_EVENT, restore);
    };
  }, [draft]);

  const busyRef = useRef(busy);
  busyRef.current = busy;

  return (
    <textarea {...props} ref={ref} rows={1} dir="auto" onInput={changed} onKeyDown={sendOnEnter} enterKeyHint={enterKeyHint()} />
  );
}

/* Esc gives up, and when the form goes, focus.js takes the focus to the element with the id `backTo`. */
export function InlineField({ backTo, onCancel, ...props }) {
  const ref = useRef(null);
  useEffect(() => {
    // On a phone the keyboard would come unasked, and cover what the form is about.
    if (hovers()) ref.current.focus();
  }, []);
  const keyDown = (event) => (event.key === "Escape" && !composing(event.nativeEvent) ? onCancel() : sendOnEnter(event));
  return <textarea {...props} ref={ref} dir="auto" data-back-to={backTo} onKeyDown={keyDown} enterKeyHint={enterKeyHint("done")} />;
}
