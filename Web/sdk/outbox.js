// Requests whose outcome counts: messages, and changes of rooms, members and messages. A request keeps its id
// until it is settled, over broken connections and reloads, so that it happens once however often it is sent.

import { FastChatError, isIndefinite, isLater, isPassing, isSettling } from "./errors.js";

/** The most requests under way; a server takes 64 of a session before it stops reading. */
const UNDER_WAY_MAX = 32;
/** How long before `limits.dedupe` is over a repeat is no longer sure to be recognised, in milliseconds. */
const DEDUPE_MARGIN_MS = 10_000;
/** By how much a request's time may differ from its message's when it is looked for, in milliseconds. */
const LOOKUP_SLACK_MS = 300_000;
/** Messages of a page in which a request is looked for, and pages: together the window of a chat. */
const LOOKUP_PAGE = 100;
const LOOKUP_PAGES = 100;
/** The window of the first wait after a "not now" and the longest one, in milliseconds: full jitter again. */
const PAUSE_FIRST_MS = 100;
const PAUSE_MAX_MS = 5_000;
/** Bytes that a frame grows by when it is a repeat. */
const RETRY_BYTES = 13;

const pause = (tries) => Math.random() * Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** Math.min(tries, 10));

/**
 * A request: `{id, chat, frame, created, since, isMessage}` is kept; `since` is the server's time when it was
 * first sent, before that when it was made.
 *
 * One of a chat is under way at a time: were the next one under way when one has to be repeated, it could come
 * to stand before it.
 */
export class Outbox {
  frameBytes = 65_536;
  dedupeMs = 300_000;

  #on;
  #lanes = new Map();
  #underWay = 0;
  #crowded = [];
  /** Rises when a connection is lost: an answer that belongs to an earlier one is not for us. */
  #session = 0;

  /**
   * Calls back `isLive()`, `serverNow()`, `ask(frame)`, `history(range)`, `closeGap(chat)` before the next is
   * sent, `settled(request, seq, time)` and `refused(request, error)` when it is off the list.
   */
  constructor(on) {
    this.#on = on;
  }

  /** Requests in the order in which they were made, of a chat or of all. */
  requests(chat) {
    const lanes = chat === undefined ? [...this.#lanes.values()] : [this.#lanes.get(chat)];
    return lanes.flatMap((lane) => lane?.queue ?? []);
  }

  isUnderWay(chat) {
    return Boolean(this.#lanes.get(chat)?.underWay);
  }

  /** It may have been sent before the page ended: nobody wrote that down, and a repeat does no harm. */
  restore(requests) {
    for (const request of requests) this.#lane(request.chat).queue.push({ ...request, isStored: true, isDoubtful: true, tries: 0 });
  }

  /** Takes a request; it is sent when `stored` has resolved. */
  add(request, stored) {
    const entry = { ...request, isStored: false, isDoubtful: false, tries: 0 };
    this.#lane(request.chat).queue.push(entry);
    stored.then(() => {
      entry.isStored = true;
      this.pump(entry.chat);
    });
  }

  #lane(chat) {
    let lane = this.#lanes.get(chat);
    if (!lane) this.#lanes.set(chat, (lane = { queue: [], underWay: null, timer: 0, isLookingUp: false }));
    return lane;
  }

  // MARK: Sessions

  lost() {
    this.#session += 1;
    this.#underWay = 0;
    this.#crowded = [];
    for (const lane of this.#lanes.values()) {
      if (lane.underWay) lane.underWay.isDoubtful = true;
      lane.underWay = null;
      lane.isLookingUp = false;
      clearTimeout(lane.timer);
      lane.timer = 0;
    }
  }

  pumpAll() {
    for (const chat of [...this.#lanes.keys()]) this.pump(chat);
  }

  /** After a reset, what may have been sent is looked for before it is sent again. */
  doubt(chat) {
    for (const request of this.#lanes.get(chat)?.queue ?? []) if (request.isDoubtful) request.needsLookup = true;
    this.pump(chat);
  }

  doubtAll() {
    for (const chat of this.#lanes.keys()) this.doubt(chat);
  }

  // MARK: Sending

  /** Sends the chat's next request, if it is its turn. */
  pump(chat) {
    const lane = this.#lanes.get(chat);
    while (lane && this.#on.isLive() && !lane.underWay && !lane.timer && !lane.isLookingUp) {
      const [first] = lane.queue;
      if (!first?.isStored) break;
      // A gap waits for the answers under way; were the next one sent first, it would wait for ever.
      this.#on.closeGap(chat);
      if (lane.queue[0] !== first || lane.underWay || lane.timer || lane.isLookingUp) continue;
      const age = this.#on.serverNow() - first.since;
      if (first.isDoubtful && age > this.dedupeMs - DEDUPE_MARGIN_MS) first.needsLookup = true;
      if (first.needsLookup && first.isMessage) {
        lane.isLookingUp = true;
        this.#lookUp(lane, chat);
      } else if (first.needsLookup) {
        this.#refuse(first, new FastChatError("timed-out", "nobody knows whether it happened: the server can no longer tell", "look, and ask anew"));
      } else if (!first.isDoubtful && this.#bytes(first) > this.frameBytes) {
        this.#refuse(first, new FastChatError("too-large", `it is larger than the ${this.frameBytes} bytes that this server takes`, "make it shorter"));
      } else if (this.#underWay >= UNDER_WAY_MAX) {
        if (!this.#crowded.includes(chat)) this.#crowded.push(chat);
        break;
      } else {
        this.#send(lane, first);
      }
    }
    const isOver = lane && lane.queue.length === 0 && !lane.underWay && !lane.isLookingUp;
    if (isOver && this.#lanes.get(chat) === lane) this.#lanes.delete(chat);
  }

  #bytes(request) {
    return new TextEncoder().encode(JSON.stringify(request.frame)).length + RETRY_BYTES;
  }

  async #send(lane, request) {
    const session = this.#session;
    if (!request.isDoubtful) request.since = this.#on.serverNow();
    lane.underWay = request;
    this.#underWay += 1;
    try {
      const answer = await this.#on.ask(request.isDoubtful ? { ...request.frame, retry: true } : request.frame);
      if (session !== this.#session) return;
      this.#answered(lane);
      if (this.#take(request)) this.#on.settled(request, answer.seq ?? null, answer.time ?? null);
    } catch (error) {
      if (session !== this.#session) return;
      this.#answered(lane);
      if (lane.queue.includes(request)) this.#judge(lane, request, error);
    }
    this.#on.closeGap(request.chat);
    this.pump(request.chat);
    while (this.#underWay < UNDER_WAY_MAX && this.#crowded.length > 0) this.pump(this.#crowded.shift());
  }

  #answered(lane) {
    lane.underWay = null;
    this.#underWay -= 1;
  }

  /** Takes a request off; whether it was still there. */
  #take(request) {
    const lane = this.#lanes.get(request.chat);
    const at = lane ? lane.queue.indexOf(request) : -1;
    if (at >= 0) lane.queue.splice(at, 1);
    return at >= 0;
  }

  /** An own message came back, by whatever way; whether a request waited for it. */
  settle({ chat, id, seq, time }) {
    const request = this.#lanes.get(chat)?.queue.find((other) => other.id === id);
    if (!request) return false;
    this.#take(request);
    this.#on.settled(request, seq, time);
    queueMicrotask(() => this.pump(chat));
    return true;
  }

  #refuse(request, error) {
    if (this.#take(request)) this.#on.refused(request, error);
  }

  #judge(lane, request, error) {
    // Where the connection was just closing, it never left.
    const isRefused = error.kind === "refused";
    if (isRefused && isSettling(error)) return this.#refuse(request, error);
    if (isRefused && !request.isDoubtful && !isIndefinite(error) && !isLater(error)) return this.#refuse(request, error);
    if (isIndefinite(error)) {
      request.isDoubtful = true;
    } else if (isRefused && request.isDoubtful && request.isMessage && !isLater(error)) {
      // The edge refuses the frame itself. Whether it was taken once, only the history can say.
      request.needsLookup = true;
      request.refusal = error;
    }
    request.tries += 1;
    lane.timer = setTimeout(() => {
      lane.timer = 0;
      this.pump(request.chat);
    }, Math.max(error.retryMs, pause(request.tries)));
  }

  // MARK: Looking up

  /** A walk back through the history, to see whether requests have become messages. */
  async #lookUp(lane, chat) {
    const session = this.#session;
    const wanted = () => lane.queue.filter((request) => request.needsLookup);
    try {
      for (let pages = 0, range = {}; pages < LOOKUP_PAGES; pages++) {
        const page = await this.#on.history({ chat, ...range, limit: LOOKUP_PAGE });
        if (session !== this.#session) return;
        for (const message of page.messages) {
          const request = wanted().find((other) => other.id === message.id);
          if (request && this.#take(request)) this.#on.settled(request, message.seq, message.time);
        }
        const [oldest] = page.messages;
        const since = Math.min(...wanted().map((request) => request.since)) - LOOKUP_SLACK_MS;
        if (!page.more || !oldest || oldest.time < since || wanted().length === 0) break;
        range = { before: oldest.seq };
      }
    } catch (error) {
      if (session !== this.#session) return;
      if (isPassing(error)) {
        lane.isLookingUp = false;
        lane.timer = setTimeout(() => {
          lane.timer = 0;
          this.pump(chat);
        }, Math.max(error.retryMs, PAUSE_FIRST_MS));
        return;
      }
    }
    lane.isLookingUp = false;
    // What was not found never happened: it is made anew, under its id.
    for (const request of wanted()) {
      request.needsLookup = false;
      request.since = this.#on.serverNow();
      if (request.refusal) this.#refuse(request, request.refusal);
    }
    this.pump(chat);
  }
}
