/* The message box: Enter sends where there is a mouse. The form around it and its buttons are Python's. */
import { useEffect, useRef } from "react";
import { useLocation } from "react-router";
import { toast } from "sonner";
import { kept } from "./kept.js";
import { outbox, placeOf } from "./outbox.js";
import { RESTORE_EVENT, tooLongFor } from "./outbox.jsx";
import { enterKeyHint, hovers, sends } from "./touch.js";

// Where CSS can size a field by its content (see chat.css): measuring 100 KB of text at every key is slow.
const GROWS_BY_ITSELF = typeof CSS !== "undefined" && CSS.supports("field-sizing", "content");

// A box with more than that keeps the browser busy for long, at each key.
const MAX_PASTED_CHARS = 2_000_000;

export function sendOnEnter(event) {
  if (!sends(event.nativeEvent)) return;
  event.preventDefault();
  event.currentTarget.form.requestSubmit();
}

/* Grows with its text, and puts it into the outbox. The draft of each chat is this tab's. */
export function MessageBox({ limit, tooLong, ...props }) {
  const ref = useRef(null);
  // What was typed before the page was alive counts.
  const keep = useRef(true);
  const sent = useRef("");
  const given = useRef(null);
  given.current = { limit, tooLong };
  // By address, not by what the server calls the open chat: it lags behind a click on another chat.
  const location = useLocation();
  const place = useRef(null);
  place.current = placeOf(location);
  const draft = `draft:${location.pathname}`;

  function changed() {
    const area = ref.current;
    if (!area) return;
    if (!GROWS_BY_ITSELF) {
      area.style.height = "auto";
      area.style.height = `${area.scrollHeight}px`;
    }
    area.form?.toggleAttribute("data-empty", area.value.trim() === "");
    kept.note(draft, area.value || null);
  }

  useEffect(() => {
    const area = ref.current;
    const form = area.form;
    // So does what was typed while the first message of a new chat gave the page its address. What was typed for another
    // chat is that one's draft.
    const { chatId } = place.current;
    const goesOn = keep.current || (chatId && outbox.chatOf(sent.current) === chatId);
    const mine = goesOn ? area.value : "";
    keep.current = false;
    sent.current = "";
    if (mine) kept.set("draft:/", null);
    area.value = mine || (kept.get(draft) ?? "");
    changed();
    // What comes back is not lost, and nor is what was typed meanwhile.
    const restore = (event) => {
      area.value = [event.detail, area.value].filter(Boolean).join("\n\n");
      changed();
      area.focus();
    };
    const send = (event) => {
      event.preventDefault();
      const { limit, tooLong } = given.current;
      // Another message of a new chat would begin a second one.
      const begins = !place.current.chatId && outbox.of(place.current).some(({ refusal }) => !refusal);
      if (begins || area.value.trim() === "") return event.stopPropagation();
      const refused = tooLongFor(area.value, limit, tooLong);
      if (refused) {
        event.stopPropagation();
        return toast.error(refused, { id: refused });
      }
      const text = area.value;
      area.value = "";
      changed();
      sent.current = outbox.send(text, place.current);
    };
    form.addEventListener("submit", send);
    window.addEventListener(RESTORE_EVENT, restore);
    if (hovers()) area.focus();
    return () => {
      form.removeEventListener("submit", send);
      window.removeEventListener(RESTORE_EVENT, restore);
    };
  }, [draft]);

  /* What is far beyond any limit stays in the clipboard; what is in the box stays there. */
  function pasted(event) {
    const text = event.clipboardData.getData("text");
    const refused = text.length > MAX_PASTED_CHARS && tooLongFor(text, limit, tooLong);
    if (!refused) return;
    event.preventDefault();
    toast.error(refused, { id: refused });
  }

  return (
    <textarea
      {...props}
      ref={ref}
      rows={1}
      dir="auto"
      onInput={changed}
      onPaste={pasted}
      onKeyDown={sendOnEnter}
      enterKeyHint={enterKeyHint()}
    />
  );
}
