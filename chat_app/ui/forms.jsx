/* Forms that keep what was typed into them, in the tab, until it is saved or given up. */
import { useEffect, useLayoutEffect, useRef } from "react";
import { useLocation } from "react-router";
import { toast } from "sonner";
import { sendOnEnter } from "./fields.jsx";
import { kept, useKept } from "./kept.js";
import { outbox, placeOf, useOutbox } from "./outbox.js";
import { composing, enterKeyHint, hovers } from "./touch.js";

/** Its second child, a form, while that is `open` or has an unsaved text; else its first. */
export function Disclosed({ form, open = false, children: [shown, fields] }) {
  return useKept(form) === null && !open ? shown : fields;
}

/** Opens the form of this name with a text in it. */
export function OpenForm({ form, text, children, ...props }) {
  return (
    <button {...props} type="button" onClick={() => kept.set(form, text)}>
      {children}
    </button>
  );
}

/** Gives the form up; what was typed can be brought back for a moment. */
function giveUp(form, text, before, close) {
  kept.set(form, null);
  close?.();
  if (text.trim() === before.trim()) return;
  const action = { label: "Bring it back", onClick: () => kept.set(form, text) };
  toast("What you typed is put away.", { action, id: form });
}

/* A text in a small form within the page: Enter submits it, Esc gives it up; when the form goes, focus.js takes the focus to
the element with the id `backTo`. */
export function InlineField({ form, backTo, onCancel, defaultValue, ...props }) {
  const ref = useRef(null);
  useEffect(() => {
    // On a phone the keyboard would come unasked, and cover what the form is about.
    if (hovers()) ref.current.focus();
  }, []);
  const before = defaultValue ?? "";
  const cancel = () => giveUp(form, ref.current.value, before, onCancel);
  const keyDown = (event) => (event.key === "Escape" && !composing(event.nativeEvent) ? cancel() : sendOnEnter(event));
  // A button beside it does the same.
  useEffect(() => {
    const pressed = (event) => event.target.closest("[data-cancel]") && cancel();
    const around = ref.current.form;
    around.addEventListener("click", pressed);
    return () => around.removeEventListener("click", pressed);
  });
  return (
    <textarea
      {...props}
      ref={ref}
      defaultValue={kept.get(form) ?? before}
      onInput={() => kept.note(form, ref.current.value)}
      onKeyDown={keyDown}
      dir="auto"
      data-back-to={backTo}
      enterKeyHint={enterKeyHint("done")}
    />
  );
}

/** The form of a new version of a question; it stays until the server has that. */
export function EditForm({ messageId, form, children, ...props }) {
  const sent = useOutbox().find(({ editOf }) => editOf === messageId);
  const place = placeOf(useLocation());
  const send = (event) => {
    event.preventDefault();
    if (sent && !sent.refusal) return;
    if (sent) outbox.take(sent.key);
    outbox.send(new FormData(event.currentTarget).get("content"), place, messageId);
  };
  return (
    <form {...props} onSubmit={send}>
      {children}
      <p className={sent?.refusal ? "problem" : "hint"} aria-live="polite">
        <span key={sent?.key}>{sent && (sent.refusal ? `Not sent. ${sent.refusal.message}` : "Sending …")}</span>
      </p>
    </form>
  );
}

/** The title of a chat: saved by Enter and when the field is left, given up by Esc. */
export function TitleField({ form, defaultValue, onCancel, ...props }) {
  const ref = useRef(null);
  const done = useRef(false);
  useEffect(() => ref.current.select(), []);
  const save = (event) => {
    event.preventDefault();
    done.current = true;
    ref.current.form.requestSubmit();
  };
  const cancel = () => {
    done.current = true;
    kept.set(form, null);
    onCancel();
  };
  const keyDown = (event) => {
    if (composing(event.nativeEvent)) return;
    if (event.key === "Escape") cancel();
    else if (event.key === "Enter") save(event);
  };
  const left = (event) => {
    // Another window is no other place in this one.
    if (done.current || !document.hasFocus()) return;
    if (ref.current.value.trim() === defaultValue || ref.current.value.trim() === "") cancel();
    else save(event);
  };
  return (
    <input
      {...props}
      ref={ref}
      autoFocus
      defaultValue={kept.get(form) ?? defaultValue}
      onInput={() => {
        done.current = false;
        kept.note(form, ref.current.value);
      }}
      onKeyDown={keyDown}
      onBlur={left}
    />
  );
}

/** The fields of a form that was kept, null for none; one that cannot be read is given up. */
function fieldsOf(form) {
  try {
    const fields = JSON.parse(kept.get(form));
    if (fields === null || (typeof fields === "object" && !Array.isArray(fields))) return fields;
  } catch {
    // As below.
  }
  kept.note(form, null);
  return null;
}

/** A form in a dialog: a click beside the dialog closes it, and what was typed is there again when it opens. */
export function KeptForm({ form, children, ...props }) {
  const ref = useRef(null);
  const unsaved = useKept(form) !== null && fieldsOf(form) !== null;
  // Also when the choices of a list have come.
  useLayoutEffect(() => fill(ref.current, fieldsOf(form)));
  const note = () => kept.set(form, JSON.stringify(Object.fromEntries(new FormData(ref.current))));
  const discard = () => {
    ref.current.reset();
    kept.set(form, null);
  };
  useEffect(() => {
    const dialog = ref.current.closest("dialog");
    const escaped = (event) => {
      const text = kept.get(form);
      if (event.key !== "Escape" || text === null) return;
      discard();
      const back = () => {
        kept.set(form, text);
        dialog.showModal();
      };
      toast("Your changes were not saved.", { action: { label: "Bring them back", onClick: back }, id: form });
    };
    dialog.addEventListener("keydown", escaped);
    return () => dialog.removeEventListener("keydown", escaped);
  }, [form]);
  return (
    <form {...props} ref={ref} onInput={note}>
      {children}
      {unsaved && (
        <p className="hint">
          <span>Not saved yet. </span>
          <button type="button" className="text-button" onClick={discard}>
            Discard the changes
          </button>
        </p>
      )}
    </form>
  );
}

function fill(form, fields) {
  for (const [name, value] of Object.entries(fields ?? {})) {
    const field = form.elements[name];
    if (field && typeof value === "string" && field !== document.activeElement && field.value !== value) field.value = value;
  }
}
