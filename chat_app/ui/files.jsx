/* Chats out of files: of this app, of ChatGPT and of Open WebUI. */
import { useRef, useState } from "react";
import { useNavigate } from "react-router";
import { toast } from "sonner";
import { Cancelled, upload } from "./upload.js";

const TYPES = ".json,.zip,application/json,application/zip";
const LONG_MS = 10_000;

/* A button that imports the chosen files one after the other, each whole or not at all, and shows how far it is. */
export function ImportChats({ children, className }) {
  const input = useRef(null);
  const [step, setStep] = useState(null);
  const navigate = useNavigate();

  const read = async (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    const control = new AbortController();
    const show = (values) => setStep({ ...values, stop: () => control.abort() });
    const named = (sentence, file) => (files.length > 1 ? `${file.name}: ${sentence}` : sentence);
    for (const file of files) {
      show({ sent: 0, size: file.size });
      try {
        const { id, imported } = await upload(file, { signal: control.signal, onStep: show });
        toast(named(`Imported ${imported.summary}`, file), { duration: LONG_MS });
        if (files.length === 1 && imported.chats === 1) navigate(`/c/${id}`);
      } catch (problem) {
        if (problem instanceof Cancelled) {
          toast("Cancelled. Nothing of this file was imported.");
          break;
        }
        toast.error(named(problem.message, file), { duration: LONG_MS });
      }
    }
    setStep(null);
  };

  return (
    <>
      {step && <Progress {...step} />}
      <button type="button" className={className} disabled={Boolean(step)} onClick={() => input.current.click()}>
        {children}
      </button>
      <input ref={input} type="file" accept={TYPES} multiple hidden aria-label="Files with chats" onChange={read} />
    </>
  );
}

function Progress({ sent, read, size, messages, stop }) {
  const done = size ? Math.min((sent ?? read) / size, 1) : 0;
  const sending = sent !== undefined && sent < size;
  const text = sending
    ? `Sending the file: ${Math.floor(done * 100)} %`
    : `Reading the chats: ${(messages ?? 0).toLocaleString()} messages`;
  return (
    <div className="importing">
      <span role="status">{sending ? "Sending the file" : "Reading the chats"}</span>
      <progress aria-label={text} value={sending || read !== undefined ? done : undefined} />
      <span aria-hidden="true">{text}</span>
      <button type="button" className="quiet-text" onClick={stop}>
        Cancel
      </button>
    </div>
  );
}
