/** The types of use-stream.js, where each thing is explained. */

export type Status =
  | "idle"
  | "loading"
  | "waiting"
  | "streaming"
  | "reconnecting"
  | "complete"
  | "stopped"
  | "failed"
  | "interrupted";

export type Mode = "stream" | "whole";

export type Reason = "no-body" | "off" | "not-a-stream" | "buffered";

export interface Problem {
  code: string;
  message: string;
  retryable: boolean;
}

export interface TextPart {
  type: "text";
  text: string;
}

export interface ReasoningPart {
  type: "reasoning";
  text: string;
  /** How long the model thought, once it has ended; in milliseconds. */
  ms?: number;
  /** Since when it thinks, on the page's clock (`performance.now()`). */
  since?: number;
}

/** A whole part: `{type: "tool", tool: …}`. */
export interface WholePart {
  type: string;
  [kind: string]: unknown;
}

export type Part = TextPart | ReasoningPart | WholePart;

export interface Message {
  id: string;
  role: "user" | "assistant" | (string & {});
  content: string;
  status: Status | (string & {});
  error: Problem | null;
  /** Where `include` is set. */
  parts?: Part[];
  finishReason?: string | null;
  usage?: Record<string, unknown> | null;
  [more: string]: unknown;
}

export interface StreamState {
  chatId: string | null;
  turnId: string | null;
  messages: Message[];
  partial: string;
  parts: Part[];
  status: Status;
  mode: Mode;
  reason: Reason | null;
  error: Problem | null;
  /** Where `queue` is set. */
  line: Line;
}

/** A question that waits for an answer to end; `error` says why it could not be asked. */
export interface Waiting {
  id: string;
  key: string;
  content: string;
  error: Problem | null;
}

export interface Line {
  questions: Waiting[];
  /** They are not asked by themselves: the last answer did not end well. */
  held: boolean;
}

/** A question that the server does not have yet, as JSON. */
export interface Unsent {
  text: string;
  chatId: string | null;
  key: string;
  refused?: boolean;
}

/** The times are milliseconds. */
export interface StreamOptions {
  baseUrl?: string;
  headers?: Record<string, string>;
  apiKey?: string;
  include?: string;
  onPart?: (part: WholePart) => void;
  fetch?: (input: string, init?: RequestInit) => Promise<Response>;
  measure?: boolean;
  door?: string;
  paced?: boolean;
  queue?: boolean;
  unsent?: { get: () => Unsent | null; set: (value: Unsent | null) => void };
  patience?: number;
  silence?: number;
  retries?: number;
  backoff?: number;
  longest?: number;
}

/** `undefined`: the chat was closed meanwhile; `null`: the question was not taken. */
export type Answered = Message | null | undefined;

export interface ChatStream {
  getState: () => StreamState;
  subscribe: (listener: () => void) => () => void;
  send: (text: string) => Promise<Answered>;
  goOn: () => Promise<Answered>;
  stop: () => Promise<void>;
  queue: (text: string) => Promise<boolean>;
  change: (id: string, text: string) => Promise<boolean>;
  remove: (id: string) => Promise<boolean>;
  sendNow: (id: string) => Promise<boolean>;
  open: (chatId: string | null) => Promise<void>;
  close: () => void;
  painted: (text?: string) => void;
}

type Method = "send" | "goOn" | "stop" | "open" | "painted" | "queue" | "change" | "remove" | "sendNow";

export interface Chat extends StreamState, Pick<ChatStream, Method> {
  busy: boolean;
}

/** A chat without React. */
export function createStream(options?: StreamOptions): ChatStream;

/** A chat for a component. */
export function useStream(options?: StreamOptions & { chatId?: string | null }): Chat;
