/* The questions that wait until an answer has ended, as the page shows them: on the server, so in every tab of the chat. */
import { useEffect, useRef } from "react";
import { toast } from "sonner";
import { InlineField } from "./forms.jsx";
import { kept, useKept } from "./kept.js";
import { RESTORE_EVENT } from "./outbox.jsx";

// Sent by queue.py.
const NOT_CHANGED = "chat:not-changed";
const ASKED = "It waits no more, and your change was not saved. What you typed is in the message box.";

const nameOf = (id) => `queue:${id}`;

if (typeof window !== "undefined")
  window.addEventListener(NOT_CHANGED, ({ detail: { id, content } }) => kept.set(nameOf(id), content));

/** Below the messages, those that are to be asked.

    chatId      the chat that is shown
    questions   [{id, key, content, problem}], the first to be asked first
    held        whether they wait for a person
    rows        the newest messages: what is among them waits no more
    onChange    takes the id of a question and its new text to the server
    onRemove    an id
    onSend      an id: to ask it now, although they are held */
export function Line({ chatId, questions, held, rows, onChange, onRemove, onSend }) {
  const arrived = new Set(rows.map(({ key }) => key));
  const shown = questions.filter(({ key }) => !arrived.has(key));
  useGivenBack(chatId, shown);
  return shown.map((question, i) => (
    <Question
      key={question.id}
      question={question}
      held={held}
      first={i === 0}
      onChange={(text) => onChange(question.id, text)}
      onRemove={() => onRemove(question.id)}
      onSend={() => onSend(question.id)}
    />
  ));
}

function Question({ question: { id, content, problem }, held, first, onChange, onRemove, onSend }) {
  const form = nameOf(id);
  if (useKept(form) !== null) return <Edit form={form} id={id} content={content} onChange={onChange} />;
  return (
    <div className="message">
      <article aria-label="Waiting question" className="question waiting" data-queue={held ? "held" : "waits"}>
        <div className="bubble" dir="auto">
          <span>{content}</span>
        </div>
        <footer className="tools">
          {problem ? <span className="problem">Not asked. {problem}</span> : <span>{held ? "Waiting for you" : "Waiting"}</span>}
          <span className="choices">
            {held && first && <Choice text="Send now" onClick={onSend} />}
            <Choice text="Edit" id={`edit-${id}`} onClick={() => kept.set(form, content)} />
            <Choice text="Remove" onClick={onRemove} />
          </span>
        </footer>
      </article>
    </div>
  );
}

/** What was being typed when a question was asked, or removed elsewhere, is not lost. */
function useGivenBack(chatId, questions) {
  const before = useRef({ chatId, questions: [] });
  useEffect(() => {
    const old = before.current;
    before.current = { chatId, questions };
    if (old.chatId !== chatId) return;
    const ids = new Set(questions.map(({ id }) => id));
    for (const { id, content } of old.questions) {
      const text = kept.get(nameOf(id));
      if (ids.has(id) || text === null) continue;
      kept.set(nameOf(id), null);
      if (text === content) continue;
      window.dispatchEvent(new CustomEvent(RESTORE_EVENT, { detail: text }));
      toast(ASKED, { id });
    }
  });
}

function Edit({ form, id, content, onChange }) {
  const ref = useRef(null);
  const save = (event) => {
    event.preventDefault();
    const text = new FormData(ref.current).get("content");
    kept.set(form, null);
    if (text !== content) onChange(text);
  };
  return (
    <div className="message">
      <form ref={ref} className="edit" onSubmit={save}>
        <InlineField
          name="content"
          form={form}
          defaultValue={content}
          aria-label="Edit the waiting question"
          className="field"
          backTo={`edit-${id}`}
        />
        <div className="choices">
          <button type="button" className="text-button" data-cancel="">
            Cancel
          </button>
          <button type="submit" className="button">
            Save
          </button>
        </div>
      </form>
    </div>
  );
}

function Choice({ text, ...props }) {
  return (
    <button type="button" className="text-button" {...props}>
      {text}
    </button>
  );
}
