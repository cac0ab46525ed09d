// The socket: connects, says hello, keeps watch, comes back. It knows frames and close codes, no chats.

import { SUBPROTOCOL, diagnose, otherProtocol, silent } from "./diagnosis.js";
import { FastChatError, disconnected, ending, refusal } from "./errors.js";
import { readFrame } from "./frames.js";
import { randomId } from "./names.js";

/** Times, in milliseconds. All of them can be set, for tests. */
export const TIMES = {
  /** The window of the first wait and the longest one: the wait is a random part of it (full jitter). */
  backOffFirst: 500,
  backOffMax: 15_000,
  /** From the start of a connection to its being open, from `hello` to `welcome`, from a ping to its pong. */
  open: 10_000,
  welcome: 20_000,
  pong: 10_000,
  /** A request that got no answer for so long went into a connection that is none any more. */
  answer: 30_000,
  /** How long an address that does not open is asked why. */
  diagnosis: 5_000,
  /** How often the watch looks. */
  watch: 2_000,
  /** How late cursors are written: one that is late costs a replay. */
  save: 200,
};

/** Close codes of FastChat from here on mean: do not come back (PROTOCOL, "Closing"). */
const FINAL_CODES = 4500;
/** Tokens that may be refused one after the other before it is not the token that is wrong. */
const REFUSALS_MAX = 2;
/** A failing address is asked why at the first failure in a row, and again at each of so many. */
const DIAGNOSIS_EVERY = 4;

/** Calls back `hello(token)`, `frame(frame)`, `lost()` before waiting requests are told, and `changed()`. */
export class Connection {
  /** `idle`, `connecting`, `catching-up` (welcome came), `live`, `waiting` (until `retryAt`), `ended`. */
  phase = "idle";
  /** Why it waits or has ended. */
  error = null;
  retryAt = 0;

  #options;
  #on;
  #times;
  #socket = null;
  #failures = 0;
  #refusals = 0;
  #token = null;
  #timer = 0;
  #watch = 0;
  #heartbeatMs = 25_000;
  #lastHeard = 0;
  #since = 0;
  #pingAt = 0;
  /** The `error` that came in place of `welcome`. */
  #lastError = null;
  #waiting = new Map();

  constructor(options, times, on) {
    this.#options = options;
    this.#times = times;
    this.#on = on;
  }

  get isAttached() {
    return this.phase === "catching-up" || this.phase === "live";
  }

  start() {
    this.#watch = setInterval(() => this.#look(), this.#times.watch);
    this.#begin(null);
  }

  /** Now, instead of at `retryAt`; a connection that seems to stand is asked whether it does. */
  hurry() {
    if (this.phase === "waiting") {
      this.#failures = 0;
      this.#begin(null);
    } else {
      this.#probe();
    }
  }

  /** Breaks it and makes it anew: the server replays what was not taken. */
  restart() {
    this.#wait(new FastChatError("network", "too much came before a gap was closed"));
  }

  /** Ends it for good; `error` says why where it was not the user. */
  stop(error = null) {
    if (this.phase === "ended") return;
    clearInterval(this.#watch);
    this.#letGo(1000);
    this.#enter("ended", error);
  }

  /** Whether the frame was handed to the browser; what comes of it, nobody knows yet. */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Sends a request and resolves with its answer; rejects with a `FastChatError`. */
  ask(frame) {
    return new Promise((resolve, reject) => {
      if (!this.send(frame)) return reject(disconnected());
      this.#waiting.set(frame.id, { resolve, reject, at: performance.now() });
    });
  }

  // MARK: Connecting

  /** `refused` is why the last token was not taken. */
  async #begin(refused) {
    clearTimeout(this.#timer);
    this.#lastError = null;
    this.#enter("connecting", null);
    const { token } = this.#options;
    if (typeof token !== "function") {
      this.#token = token ?? null;
    } else if (!this.#token || refused) {
      // The watch measures the connection, not the user who looks for his password.
      this.#since = Infinity;
      try {
        this.#token = await token(refused);
      } catch (error) {
        if (this.phase !== "connecting") return;
        return this.#wait(new FastChatError("unauthorized", `no token could be had: ${error.message}`, "it is tried again by itself"));
      }
      if (this.phase !== "connecting") return;
    }
    this.#connect();
  }

  #connect() {
    this.#since = performance.now();
    let socket = null;
    try {
      socket = new WebSocket(this.#options.url, SUBPROTOCOL);
    } catch (error) {
      // An address that is none, or plain ws:// from a page that came by TLS.
      return this.stop(new FastChatError("not-fastchat", error.message, "give an address like wss://chat.example.org/ws"));
    }
    this.#socket = socket;
    let isOpen = false;
    socket.onopen = () => {
      if (socket.protocol !== SUBPROTOCOL) return this.#wait(otherProtocol(new URL(socket.url).host));
      isOpen = true;
      this.#since = this.#lastHeard = performance.now();
      this.send(this.#on.hello(this.#token));
    };
    socket.onmessage = (event) => this.#received(event.data);
    socket.onclose = (event) => (isOpen ? this.#closed(event.code, event.reason) : this.#notOpened());
  }

  /** Browsers do not tell why: it is asked beside the waiting. */
  #notOpened() {
    const { url } = this.#options;
    const turn = this.#failures;
    this.#wait(new FastChatError("network", `${new URL(url).host} cannot be reached`, "check the network, and that the server runs"));
    if (turn % DIAGNOSIS_EVERY !== 0) return;
    diagnose(url, this.#times.diagnosis).then((error) => {
      if (this.#failures > turn && this.phase !== "live" && this.phase !== "ended") this.#found(error);
    });
  }

  #found(error) {
    this.error = error;
    this.#on.changed();
  }

  #wait(error, ms) {
    const window = Math.min(this.#times.backOffMax, this.#times.backOffFirst * 2 ** Math.min(this.#failures, 16));
    const wait = ms ?? Math.random() * window;
    this.#letGo();
    this.#failures += 1;
    this.retryAt = Date.now() + wait;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#begin(null), wait);
    this.#enter("waiting", error);
  }

  /** What was found out about an address stays said while it is tried again. */
  #enter(phase, error) {
    this.phase = phase;
    if (error || phase !== "connecting") this.error = error;
    this.#on.changed();
  }

  // MARK: Frames

  #received(data) {
    this.#lastHeard = performance.now();
    const frame = readFrame(data);
    if (!frame) {
      const shown = typeof data === "string" ? data.slice(0, 60) : "binary data";
      return this.#broken(`the server sent what is no frame of the protocol (${shown})`);
    }
    if (this.phase === "connecting") {
      if (frame.type === "error") this.#lastError = frame;
      else if (frame.type === "welcome") this.#welcomed(frame);
      else this.#broken("the server speaks before it has welcomed us");
      return;
    }
    const waiting = frame.type === "message" ? null : this.#waiting.get(frame.id);
    if (waiting) {
      this.#waiting.delete(frame.id);
      if (frame.type === "error") waiting.reject(refusal(frame));
      else waiting.resolve(frame);
      return;
    }
    if (frame.type === "pong") this.#pingAt = 0;
    else if (frame.type === "live") this.#live(frame);
    else if (frame.type !== "error") this.#on.frame(frame);
    else if (frame.code === "unauthorized") this.#lastError = frame;
  }

  #welcomed(frame) {
    this.#heartbeatMs = frame.heartbeat * 1000;
    this.#refusals = 0;
    this.phase = "catching-up";
    this.error = null;
    this.#on.frame(frame);
    this.#on.changed();
  }

  #live(frame) {
    this.#failures = 0;
    this.phase = "live";
    this.#on.frame(frame);
    this.#on.changed();
  }

  /** What comes from there cannot be trusted: it is made anew. */
  #broken(words) {
    this.#wait(new FastChatError("broken-protocol", words, "check that it is a FastChat server of this version, and what stands in between"));
  }

  // MARK: Watching

  /** Asks whether the other side is still there (the machine slept, the network came back). */
  #probe() {
    if (!this.isAttached || this.#pingAt > 0) return;
    this.#pingAt = performance.now();
    this.send({ type: "ping", id: randomId() });
  }

  /** Timers of a hidden page come late: it measures, and does not count its own calls. */
  #look() {
    const now = performance.now();
    const { host } = new URL(this.#options.url);
    if (this.phase === "connecting") {
      const isOpen = this.#socket?.readyState === WebSocket.OPEN;
      if (now - this.#since <= (isOpen ? this.#times.welcome : this.#times.open)) return;
      this.#wait(isOpen
        ? new FastChatError("network", `${host} does not answer hello`, "look at its log: it may be overloaded, or be something else")
        : silent(host));
    } else if (this.isAttached) {
      const quiet = now - this.#lastHeard;
      const isUnanswered = [...this.#waiting.values()].some((request) => now - request.at > this.#times.answer);
      const isUnheard = this.#pingAt > 0 && now - this.#pingAt > this.#times.pong;
      if (isUnanswered || isUnheard) this.#wait(new FastChatError("network", `${host} fell silent`));
      else if (quiet > this.#heartbeatMs) this.#probe();
    }
  }

  // MARK: Ends

  #closed(code, reason) {
    const words = this.#lastError?.message ?? reason;
    if (code >= FINAL_CODES && code < 5000) {
      const error = ending(code, words, { ...this.#options, hasToken: Boolean(this.#token) });
      return error.kind === "unauthorized" ? this.#tokenRefused(error) : this.stop(error);
    }
    const told = /^retry=(\d+)/.exec(reason);
    const later = this.#lastError?.retry > 0 ? this.#lastError.retry * (1 + Math.random()) : undefined;
    const said = words && !told ? `: ${words}` : "";
    const isFault = code >= 1002 && code <= 1010 && code !== 1005 && code !== 1006;
    this.#wait(
      isFault
        ? new FastChatError("broken-protocol", `the server closed the connection (${code})${said}`, "look at its log")
        : new FastChatError("network", code === 4000 ? "the server makes room for a moment" : `the connection broke${said}`),
      told ? Number(told[1]) : later,
    );
  }

  #tokenRefused(error) {
    this.#refusals += 1;
    if (typeof this.#options.token !== "function" || this.#refusals >= REFUSALS_MAX) return this.stop(error);
    this.#letGo();
    this.#begin(error);
  }

  /** Nothing of the socket is heard any more, and who waits for an answer is told. */
  #letGo(code) {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    this.#pingAt = 0;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
    this.#on.lost();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const request of waiting) request.reject(disconnected());
  }
}
