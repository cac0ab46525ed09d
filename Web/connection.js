// The socket: connects, says hello, keeps watch, comes back. It knows frames and close codes, no chats.

import { randomId } from "./storage.js";

/** The window of the first wait and the longest one, in milliseconds: the wait is a random part of it. */
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15_000;
/** From the start of a connection to its being open, from `hello` to `welcome`, from a ping to its pong. */
const OPEN_MS = 10_000;
const WELCOME_MS = 20_000;
const PONG_MS = 10_000;
/** A request that got no answer for so long went into a connection that is none any more. */
const ANSWER_MS = 25_000;
/** How often the watch looks, in milliseconds. */
const WATCH_MS = 2_000;
/** Close codes of FastChat from here on mean: do not come back (PROTOCOL, "Closing"). */
const FINAL_CODES = 4500;

/** A wait of this length or less, spread over the whole window, so that a crowd does not come as one. */
export function jitter(attempt) {
  return Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10));
}

/** An `error` frame, or the end of the connection (`code` "disconnected"), as an answer to a request. */
export class Refusal extends Error {
  constructor(code, message, retryMs) {
    super(message || code);
    this.code = code;
    this.retryMs = retryMs;
  }
}

/**
 * Calls back `hello()` for the frame to begin with, `frame(frame)` for each frame that answers no request of
 * `ask`, `changed()` when `phase` is another.
 */
export class Connection {
  /** `connecting`, `catching-up` (welcome came), `live`, `waiting` (for `nextTry`), `ended` (see `ending`). */
  phase = "connecting";
  nextTry = 0;
  /** Why the server wants us not to come back: `{code, reason}`. */
  ending = null;
  /** Rises with each connection: an answer that comes over another one is told apart. */
  session = 0;
  heartbeatMs = 25_000;

  #url;
  #on;
  #socket = null;
  #attempt = 0;
  #timer = 0;
  #watch = 0;
  #lastHeard = 0;
  #since = 0;
  #pingAt = 0;
  /** The `error` that came in place of `welcome`. */
  #lastError = null;
  #waiting = new Map();

  constructor(url, on) {
    this.#url = url;
    this.#on = on;
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
  }

  get live() {
    return this.phase === "live" && this.#socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    clearTimeout(this.#timer);
    this.#abandon();
    this.#lastError = null;
    this.session += 1;
    this.#since = performance.now();
    this.#enter("connecting");
    const socket = new WebSocket(this.#url, "fastchat.v1");
    this.#socket = socket;
    socket.onopen = () => {
      this.#since = this.#lastHeard = performance.now();
      socket.send(JSON.stringify(this.#on.hello()));
    };
    socket.onmessage = (event) => this.#received(event.data);
    socket.onclose = (event) => this.#closed(event.code, event.reason);
  }

  /** Now, instead of at `nextTry`. */
  hurry() {
    if (this.phase !== "waiting") return this.probe();
    this.#attempt = 0;
    this.connect();
  }

  /** Asks whether the other side is still there (the machine slept, the network came back). */
  probe() {
    if (this.phase !== "live" || this.#pingAt > 0) return;
    this.#pingAt = performance.now();
    this.send({ type: "ping", id: randomId() });
  }

  /** Ends it for good. */
  stop() {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#socket?.close(1000);
    this.#abandon();
  }

  /** Whether the frame was handed to the browser; what comes of it, nobody knows yet. */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Sends a request and resolves with its answer; rejects with a `Refusal`. */
  ask(frame) {
    return new Promise((resolve, reject) => {
      if (!this.send(frame)) return reject(new Refusal("disconnected"));
      this.#waiting.set(frame.id, { resolve, reject, at: performance.now() });
    });
  }

  #enter(phase) {
    this.phase = phase;
    this.#on.changed();
  }

  #received(text) {
    this.#lastHeard = performance.now();
    const frame = JSON.parse(text);
    const waiting = frame.id === undefined || frame.type === "message" ? null : this.#waiting.get(frame.id);
    if (waiting) this.#waiting.delete(frame.id);
    switch (frame.type) {
      case "welcome":
        this.heartbeatMs = frame.heartbeat * 1000;
        this.#on.frame(frame);
        this.#enter("catching-up");
        return;
      case "live":
        this.#attempt = 0;
        this.phase = "live";
        this.#on.frame(frame);
        this.#on.changed();
        return;
      case "pong":
        this.#pingAt = 0;
        return;
      case "error":
        if (waiting) waiting.reject(new Refusal(frame.code, frame.message, frame.retry));
        else if (this.phase === "connecting") this.#lastError = frame;
        return;
      default:
        if (waiting) waiting.resolve(frame);
        else this.#on.frame(frame);
    }
  }

  /** Timers of a hidden page come late: it measures, and does not count its own calls. */
  #look() {
    const now = performance.now();
    const quiet = now - Math.max(this.#lastHeard, this.#since);
    if (this.phase === "connecting") {
      const open = this.#socket?.readyState === WebSocket.OPEN;
      if (now - this.#since > (open ? WELCOME_MS : OPEN_MS)) this.#closed(1006, "");
    } else if (this.phase === "catching-up" || this.phase === "live") {
      const unanswered = [...this.#waiting.values()].some((request) => now - request.at > ANSWER_MS);
      const unheard = this.#pingAt > 0 && now - this.#pingAt > PONG_MS;
      const stuck = this.phase === "catching-up" && quiet > WELCOME_MS;
      if (unanswered || unheard || stuck) this.#closed(1006, "");
      else if (quiet > this.heartbeatMs) this.probe();
    }
  }

  #closed(code, reason) {
    this.#abandon();
    if (code >= FINAL_CODES && code < 5000) {
      this.ending = { code, reason: reason || this.#lastError?.message || "" };
      return this.#enter("ended");
    }
    const told = /^retry=(\d+)/.exec(reason);
    const wait = told ? Number(told[1]) : Math.max(this.#lastError?.retry ?? 0, jitter(this.#attempt));
    this.#attempt += 1;
    this.nextTry = Date.now() + wait;
    this.#timer = setTimeout(() => this.connect(), wait);
    this.#enter("waiting");
  }

  /** Lets go of the socket: nothing of it is heard any more, and who waits for an answer is told. */
  #abandon() {
    const socket = this.#socket;
    this.#socket = null;
    this.#pingAt = 0;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const request of waiting) request.reject(new Refusal("disconnected"));
  }
}
