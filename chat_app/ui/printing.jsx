/* On paper comes the whole conversation, also what the page has not loaded: it is fetched while the browser waits to print. */
import { useEffect, useState } from "react";
import { flushSync } from "react-dom";
import { drawAll } from "./gradual.jsx";
import { Markdown } from "./markdown.jsx";

const PAGE = 500;

/* Not `fetch`, for which the browser would not wait. */
function get(address) {
  const request = new XMLHttpRequest();
  request.open("GET", address, false);
  request.send();
  if (request.status !== 200) throw new Error(`The server answered ${request.status}.`);
  return JSON.parse(request.responseText);
}

function messagesBefore(chatId, before, count) {
  const pages = [];
  for (let next = before, left = count; next !== null && left > 0; left -= PAGE) {
    const limit = Math.min(left, PAGE);
    const page = get(`/messages/?${new URLSearchParams({ chat_id: chatId, before: next, limit })}`);
    pages.unshift(page.messages);
    next = page.next;
  }
  return pages.flat();
}

function Printed({ role, content }) {
  if (role !== "user") return <Markdown text={content} growing={false} />;
  return (
    <article className="question">
      <div className="bubble" dir="auto">
        {content}
      </div>
    </article>
  );
}

export function PrintedEarlier({ chatId, hidden, before }) {
  const [messages, setMessages] = useState([]);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const begin = () => {
      const next = before ?? document.querySelector("[role=log] article")?.id;
      try {
        const earlier = hidden > 0 && next ? messagesBefore(chatId, next, hidden) : [];
        flushSync(() => setMessages(earlier));
        drawAll();
      } catch {
        flushSync(() => setProblem(`${hidden} earlier messages are not printed, for the server could not be reached.`));
      }
    };
    const end = () => {
      setMessages([]);
      setProblem("");
    };
    addEventListener("beforeprint", begin);
    addEventListener("afterprint", end);
    return () => {
      removeEventListener("beforeprint", begin);
      removeEventListener("afterprint", end);
    };
  }, [chatId, hidden, before]);
  return (
    <div className="printed">
      {problem && <p className="problem">{problem}</p>}
      {messages.map((message) => (
        <div className="message" key={message.id}>
          <Printed {...message} />
        </div>
      ))}
    </div>
  );
}
