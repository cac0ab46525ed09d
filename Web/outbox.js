// What the user wrote and the server has not acknowledged. A request keeps its id until it is settled, over
// broken connections and reloads, so that it becomes one message however often it is sent.

import { Refusal, jitter } from "./connection.js";
import { randomId } from "./storage.js";

/** Answers to a first request that changed nothing and may be better later. */
const LATER = new Set(["rate-limited", "busy"]);
/** Answers after which nobody knows whether it happened. */
const INDEFINITE = new Set(["unavailable", "internal", "disconnected"]);
/** After one of those, only these refusals settle a repeat (PROTOCOL, "Errors"). */
const SETTLING = new Set(["forbidden", "not-found", "exists"]);
/** How long other requests than messages are repeated, in milliseconds: the server's `limits.dedupe`. */
const INSIST_MS = 300_000;
/** How often a request that waits for a connection looks for one, in milliseconds. */
const INSIST_POLL_MS = 200;

/** Whether a refusal is the last word on a request. */
export function isFinal(code, repeat) {
  return repeat ? SETTLING.has(code) : !LATER.has(code) && !INDEFINITE.has(code);
}

/** Repeats a request with one id until it is settled, as long as the page lives; for what is not a message. */
export async function insist(connection, frame) {
  frame.id = randomId();
  const until = Date.now() + INSIST_MS;
  for (let tries = 1; ; tries++) {
    let wait = INSIST_POLL_MS;
    try {
      if (connection.live) return await connection.ask(frame);
    } catch (refusal) {
      if (isFinal(refusal.code, Boolean(frame.retry))) throw refusal;
      if (!LATER.has(refusal.code)) frame.retry = true;
      if (refusal.code !== "disconnected") wait = refusal.retryMs ?? jitter(tries);
    }
    if (connection.phase === "ended" || Date.now() > until) {
      throw new Refusal("unavailable", "The server could not be reached.");
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

export class Outbox {
  /** In the order it was written: `{id, chat, body, created, sent, refused}`; `sent` is the server's time. */
  requests = [];
  /** Bytes of a frame that the server takes; a larger one would end the connection. */
  frameBytes = 64 * 1024;

  #store;
  #connection;
  #on;
  #inFlight = new Map();
  #waits = new Map();

  /** Calls back `acknowledged(chat, ack, body)` and `answered(chatId)` after each answer. */
  constructor(store, on) {
    this.#store = store;
    this.#on = on;
    this.requests = store.loadPending();
  }

  attach(connection) {
    this.#connection = connection;
  }

  of(chatId) {
    return this.requests.filter((request) => request.chat === chatId);
  }

  /** Requests of a chat that may have become messages. */
  sentOf(chatId) {
    return this.requests.filter((request) => request.chat === chatId && request.sent > 0 && !request.refused);
  }

  isWaiting(chatId) {
    return this.#inFlight.has(chatId);
  }

  add(chatId, body) {
    this.requests.push({ id: randomId(), chat: chatId, body, created: Date.now(), sent: 0, refused: null });
    this.#keep();
  }

  discard(request) {
    this.requests = this.requests.filter((other) => other !== request);
    this.#keep();
  }

  /** An id that came back, by whatever way, is settled. */
  settle(chatId, id) {
    const rest = this.requests.filter((request) => request.id !== id || request.chat !== chatId);
    if (rest.length === this.requests.length) return;
    this.requests = rest;
    this.#keep();
  }

  /** A new session: what waited for a better moment of the old one has it now. */
  restart() {
    for (const timer of this.#waits.values()) clearTimeout(timer);
    this.#waits.clear();
  }

  /**
   * Sends the chat's next request, one at a time: were the next under way when one has to be repeated, it
   * could come to stand before it.
   */
  pump(chatId, serverTime) {
    if (!this.#connection.live || this.#inFlight.has(chatId) || this.#waits.has(chatId)) return;
    const request = this.requests.find((other) => other.chat === chatId && !other.refused);
    if (!request) return;
    const repeat = request.sent > 0;
    const frame = { type: "send", id: request.id, to: chatId, body: request.body };
    if (repeat) frame.retry = true;
    if (new TextEncoder().encode(JSON.stringify(frame)).length > this.frameBytes) {
      request.refused = "It is larger than this server takes.";
      this.#keep();
      return this.#on.answered(chatId);
    }
    if (!repeat) request.sent = serverTime;
    // Kept before it leaves: a page that dies now comes back with "retry".
    this.#keep();
    this.#inFlight.set(chatId, request);
    this.#connection.ask(frame).then(
      (ack) => {
        this.#inFlight.delete(chatId);
        this.#on.acknowledged(chatId, ack, request.body);
        this.settle(chatId, request.id);
        this.#on.answered(chatId);
      },
      (refusal) => {
        this.#inFlight.delete(chatId);
        this.#refused(request, refusal, repeat);
        this.#on.answered(chatId);
      },
    );
  }

  #refused(request, { code, message, retryMs }, repeat) {
    if (isFinal(code, repeat)) request.refused = message;
    else if (code !== "disconnected") {
      // Definite, and never sent before: it did not happen, so it is a first request still.
      if (!repeat && LATER.has(code)) request.sent = 0;
      request.tries = (request.tries ?? 0) + 1;
      const again = () => {
        this.#waits.delete(request.chat);
        this.#on.answered(request.chat);
      };
      this.#waits.set(request.chat, setTimeout(again, retryMs ?? jitter(request.tries)));
    }
    this.#keep();
  }

  #keep() {
    this.#store.savePending(this.requests);
  }
}
