/* The textarea of the message box: grows with its text, Enter sends unless an input method is composing, and the draft of
each chat survives a reload. The form around it, its buttons and its handlers are Python's. */
import { useEffect, useRef } from "react";
import { useLocation } from "react-router";

// Where CSS can size a field by its content (see chat.css): measuring 100 KB of text at every key is slow.
const GROWS_BY_ITSELF = typeof CSS !== "undefined" && CSS.supports("field-sizing", "content");

// Sent by composer.py.
const RESTORE_EVENT = "chat:restore-draft";

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

  function keyDown(event) {
    // 229: Safari ends the composition before the Enter that confirms it.
    const composing = event.nativeEvent.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    ref.current.form.requestSubmit();
  }

  return <textarea {...props} ref={ref} rows={1} onInput={changed} onKeyDown={keyDown} enterKeyHint="send" />;
}
