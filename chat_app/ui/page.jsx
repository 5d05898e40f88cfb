/* Small things that need the browser itself. */
import "./browser.js";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";


/** That of dates, where whoever runs the app has set one. */
const language = () => document.querySelector("meta[name=language]")?.content;

/* A time of day as the reader's clock and language have it; the server knows neither. */
export function Moment({ iso }) {
  const [text, setText] = useState("");
  useEffect(() => {
    const moment = new Date(iso);
    const today = moment.toDateString() === new Date().toDateString();
    setText(moment.toLocaleString(language(), { ...(today ? {} : { dateStyle: "medium" }), timeStyle: "short" }));
  }, [iso]);
  return (
    <time dateTime={iso} className="moment">
      {text}
    </time>
  );
}

/* Not the router's link: it leaves the address alone, see keyboard.js. */
export function SkipLink({ children }) {
  return (
    <a href="#main" className="skip">
      {children}
    </a>
  );
}

/* The day on the reader's clock, a number; whoever asks is told when another begins. */
function useToday() {
  const day = () => new Date().setHours(0, 0, 0, 0);
  return useSyncExternalStore(onMidnight, day, day);
}

function onMidnight(callback) {
  let timer;
  const wait = () => {
    timer = setTimeout(() => {
      callback();
      wait();
    }, new Date().setHours(24, 0, 0, 0) - Date.now());
  };
  wait();
  // Timers stand still while a machine sleeps.
  document.addEventListener("visibilitychange", callback);
  return () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", callback);
  };
}

function dayName(moment, today) {
  if (moment === "" || moment === "pinned") return moment && "Pinned";
  const day = new Date(moment).setHours(0, 0, 0, 0);
  // Some days have 23 or 25 hours.
  const age = Math.round((today - day) / 86_400_000);
  if (age <= 0) return "Today";
  if (age === 1) return "Yesterday";
  return age <= 7 ? "Previous 7 days" : new Date(day).toLocaleDateString(language() ?? "en", { month: "long", year: "numeric" });
}

export function Day({ moment, before }) {
  const today = useToday();
  const name = dayName(moment, today);
  return name === dayName(before, today) ? null : <h2 className="day">{name}</h2>;
}

export function TabTitle({ chatId, stored, chats, app }) {
  const listed = useRef({});
  const found = chats.find(({ id }) => id === chatId);
  if (found) listed.current = found;
  // A chat that is listed no more keeps the title that it had there.
  const title = listed.current.id === chatId ? listed.current.title : stored;
  useEffect(() => {
    document.title = (chatId && title) || app;
  }, [chatId, title, app]);
  return null;
}
