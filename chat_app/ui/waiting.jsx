/* The questions that wait in a chat of one column until its answer has ended, see `useStream()`. */
import { useState } from "react";
import { composing } from "./touch.js";

/** `line` and `chat` are useStream()'s; `box` has the message box, which takes the focus of what goes. */
export function Waiting({ line: { questions, held }, chat, box }) {
  return questions.map((question, i) => (
    <Question key={question.id} question={question} held={held} first={i === 0} chat={chat} box={box} />
  ));
}

function Question({ question: { id, content, error }, held, first, chat, box }) {
  const [edited, setEdited] = useState(null);
  const close = () => {
    setEdited(null);
    box.current.focus();
  };
  const save = async (event) => {
    event?.preventDefault();
    if (edited.trim() === "") return;
    if (edited === content || (await chat.change(id, edited))) close();
  };
  const leave = (action) => {
    box.current.focus();
    action(id);
  };
  if (edited !== null) return <Edit text={edited} onChange={setEdited} onSave={save} onCancel={close} />;
  return (
    <article aria-label="Waiting question" className="question waiting" data-queue={held ? "held" : "waits"}>
      <div className="bubble" dir="auto">
        {content}
      </div>
      <p className="note">
        {error ? <span className="problem">Not asked. {error.message}</span> : held ? "Waiting for you" : "Waiting"}
        <span className="choices">
          {held && first && <Choice onClick={() => leave(chat.sendNow)}>Send now</Choice>}
          <Choice onClick={() => setEdited(content)}>Edit</Choice>
          <Choice onClick={() => leave(chat.remove)}>Remove</Choice>
        </span>
      </p>
    </article>
  );
}

function Edit({ text, onChange, onSave, onCancel }) {
  const keyDown = (event) => {
    if (composing(event.nativeEvent)) return;
    if (event.key === "Escape") onCancel();
    else if (event.key === "Enter" && !event.shiftKey) onSave(event);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <form className="edit" onSubmit={onSave}>
      <textarea
        className="field"
        aria-label="Edit the waiting question"
        dir="auto"
        rows={2}
        autoFocus
        value={text}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={keyDown}
      />
      <span className="choices">
        <Choice onClick={onCancel}>Cancel</Choice>
        <button type="submit" className="button">
          Save
        </button>
      </span>
    </form>
  );
}

function Choice({ onClick, children }) {
  return (
    <button type="button" className="text-button" onClick={onClick}>
      {children}
    </button>
  );
}
