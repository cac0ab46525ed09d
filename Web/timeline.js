// One chat as the page shows it: its messages in the order of their seq, what is read, what was refused. The
// SDK hands each event over once and in order. Pure: no network, no page, no clock.

import { peerOf } from "./sdk/fastchat.js";

/** How much of a chat is kept for the next load of the page: messages, and bytes of their bodies. */
const KEPT_MESSAGES = 40;
const KEPT_BYTES = 32 * 1024;
/** A chat that is not on the screen keeps at most this many messages in memory. */
const IDLE_MESSAGES = 200;

/** The text of a body: ours is `{"text"}`, the seed's clients send `{"message"}`, others anything. */
export function bodyText(body) {
  if (typeof body === "string") return body;
  if (typeof body?.text === "string") return body.text;
  if (typeof body?.message === "string") return body.message;
  return body === undefined ? "" : JSON.stringify(body);
}

export class Timeline {
  constructor(id, me) {
    this.id = id;
    this.me = me;
    /** Events to show, by rising seq, without a hole between the first and what was handed over. */
    this.events = [];
    /** Whether nothing older than the first is to be had. */
    this.atStart = false;
    /** The last event of the chat that the server told of. */
    this.head = 0;
    /** Up to where this user has read, and each of the others. */
    this.read = 0;
    this.reads = new Map();
    this.draft = "";
    /** Messages that the server did not take: `{id, body, created, reason}`. */
    this.refused = [];
    /** Of a room, how many are in it: `{count, more}`. */
    this.members = null;
    this.counting = false;
    /** When older messages may be asked for again, after a refusal. */
    this.olderFrom = 0;
    /** Rises when the events are thrown away, so that an answer from before is not put in. */
    this.generation = 0;
    /** Whether the server's list has it: a direct chat nobody wrote in yet exists here only. */
    this.listed = false;
    /** Who is typing: user -> until when. */
    this.typing = new Map();
  }

  get isRoom() {
    return this.id.startsWith("room:");
  }

  get title() {
    return this.isRoom ? this.id.slice(5) : peerOf(this.id, this.me);
  }

  /** The seq of the oldest event held; 0 if there is none. */
  get floor() {
    return this.events.length > 0 ? this.events[0].seq : 0;
  }

  get lastMessage() {
    return this.events.findLast((event) => event.type === "message");
  }

  /** Messages of others above what is read, and whether there may be more below what is held. */
  get unread() {
    let count = 0;
    for (let i = this.events.length - 1; i >= 0 && this.events[i].seq > this.read; i--) {
      const event = this.events[i];
      if (event.type === "message" && event.from !== this.me && !event.deleted) count += 1;
    }
    // Of history one cannot tell what stands before its oldest message; of events `prev` does.
    const below = this.events[0]?.prev ?? this.floor - 1;
    return { count, more: count > 0 && !this.atStart && below > this.read };
  }

  /** How far the others have read: a message at or below it has two ticks. */
  get readByOthers() {
    return Math.max(0, ...this.reads.values());
  }

  // MARK: What comes in

  /** Puts an event in its place, unless it is there. */
  #insert(event) {
    let at = this.events.length;
    while (at > 0 && this.events[at - 1].seq > event.seq) at -= 1;
    if (at === 0 || this.events[at - 1].seq !== event.seq) this.events.splice(at, 0, event);
  }

  /** An event that was handed over (`message`, `edited`, `deleted`, `member`). */
  hand(event) {
    if (event.type === "message" || event.type === "member") this.#insert(event);
    else this.#amend(event);
    if (event.prev === 0) this.atStart = true;
    this.#passed(event.seq);
    if (event.type === "message") this.typing.delete(event.from);
  }

  #passed(seq) {
    this.head = Math.max(this.head, seq);
    this.listed = true;
  }

  #amend(event) {
    const message = this.events.find((other) => other.seq === event.of);
    if (!message) return;
    if (event.type === "deleted") {
      message.deleted = true;
      delete message.body;
    } else {
      message.body = event.body;
      message.edited = event.time;
    }
  }

  /** An own message got its place. */
  sent({ seq, id, time, request }) {
    this.#insert({ type: "message", seq, from: this.me, id, time, body: request.body });
    this.#passed(seq);
  }

  /** Another's or our own `read` or `typing`; `until` is when the latter is over. */
  note(frame, until) {
    if (frame.type === "typing") {
      if (frame.on) this.typing.set(frame.user, until);
      else this.typing.delete(frame.user);
    } else if (frame.user === this.me) {
      this.read = Math.max(this.read, frame.seq);
    } else {
      this.reads.set(frame.user, Math.max(this.reads.get(frame.user) ?? 0, frame.seq));
    }
  }

  /** A page of history: messages only, oldest first. */
  merge(messages) {
    for (const message of messages) this.#insert({ ...message, type: "message" });
  }

  /** What is held no longer joins on to what comes: the past is there through history. */
  reset(head) {
    this.forget();
    this.head = head;
    this.listed = true;
  }

  /** Throws away what is held. */
  forget() {
    this.events = [];
    this.atStart = false;
    this.generation += 1;
  }

  /** Nothing of it is there any more but what the user wrote. */
  restart() {
    this.forget();
    this.head = this.read = 0;
    this.reads.clear();
    this.listed = false;
  }

  /** Bounds the memory of a chat nobody looks at. */
  trim(count = IDLE_MESSAGES) {
    if (this.events.length <= count) return;
    this.events.splice(0, this.events.length - count);
    this.atStart = false;
  }

  // MARK: What is kept

  /** For storage: the newest events without a hole, as many as the bounds allow. */
  snapshot() {
    let from = this.events.length;
    let bytes = 0;
    while (from > 0 && this.events.length - from < KEPT_MESSAGES) {
      bytes += JSON.stringify(this.events[from - 1]).length;
      if (bytes > KEPT_BYTES) break;
      from -= 1;
    }
    const { head, listed, draft, read, refused } = this;
    const atStart = this.atStart && from === 0;
    return { head, listed, draft, read, refused, atStart, reads: [...this.reads], events: this.events.slice(from) };
  }

  static restore(id, me, kept) {
    const chat = new Timeline(id, me);
    Object.assign(chat, kept);
    chat.reads = new Map(kept.reads);
    return chat;
  }
}
