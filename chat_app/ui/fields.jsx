/* The textareas: of the message box, and of the small forms within the page. In both Enter sends unless an input method is
composing. The form around each, its buttons and its handlers are Python's. */
import { useEffect, useRef } from "react";
import { useLocation } from "react-router";

// Where CSS can size a field by its content (see chat.css): measuring 100 KB of text at every key is slow.
const GROWS_BY_ITSELF = typeof CSS !== "undefined" && CSS.supports("field-sizing", "content");

// Sent by composer.py.
const RESTORE_EVENT = "chat:restore-draft";

function sendOnEnter(event) {
  if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
  event.preventDefault();
  event.currentTarget.form.requestSubmit();
}

// 229: Safari ends the composition before the Enter that confirms it.
const isComposing = (event) => event.nativeEvent.isComposing || event.keyCode === 229;

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
    if (window.matchMedia("(hover: hover)").matches) area.focus();
    return () => {
      form.removeEventListener("reset", cleared);
      form.removeEventListener("submit", guard);
      window.removeEventListener(RESTORE_EVENT, restore);
    };
  }, [draft]);

  const busyRef = useRef(busy);
  busyRef.current = busy;

  return <textarea {...props} ref={ref} rows={1} onInput={changed} onKeyDown={sendOnEnter} enterKeyHint="send" />;
}

/* Esc gives up, and when the form goes, the focus goes to the element with the id `backTo`. */
export function InlineField({ backTo, onCancel, ...props }) {
  const ref = useRef(null);
  useEffect(() => {
    // On a phone the keyboard would come unasked, and cover what the form is about.
    if (window.matchMedia("(hover: hover)").matches) ref.current.focus();
    return () => {
      // Unless the person went on to something else by now.
      if (document.activeElement === document.body) document.getElementById(backTo)?.focus();
    };
  }, []);
  const keyDown = (event) => (event.key === "Escape" && !isComposing(event) ? onCancel() : sendOnEnter(event));
  return <textarea {...props} ref={ref} onKeyDown={keyDown} enterKeyHint="done" />;
}
