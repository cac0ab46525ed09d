// One chat as this device knows it: its messages in the order of their seq, the cursor, gaps, what is read.
// Pure: no network, no page, no clock.

/** How much of a chat is kept for the next load of the page: messages, and bytes of their bodies. */
const KEPT_MESSAGES = 40;
const KEPT_BYTES = 64 * 1024;
/** A chat that is not on the screen keeps at most this many messages in memory. */
const IDLE_MESSAGES = 200;

/** The text of a body: ours is `{"text"}`, the seed's clients send `{"message"}`, others anything. */
export function bodyText(body) {
  if (typeof body === "string") return body;
  if (typeof body?.text === "string") return body.text;
  if (typeof body?.message === "string") return body.message;
  return body === undefined ? "" : JSON.stringify(body);
}

/** The other user of a direct chat (oneself in the chat with oneself), or null for a room. */
export function peerOf(chat, me) {
  if (!chat.startsWith("dm:")) return null;
  const [, first, second] = chat.split(":");
  return first === me ? second : first;
}

/** The direct chat of two users: the two in byte order, which is JavaScript's, since names are ASCII. */
export function directChat(me, other) {
  return me < other ? `dm:${me}:${other}` : `dm:${other}:${me}`;
}

export class Timeline {
  constructor(id, me) {
    this.id = id;
    this.me = me;
    /** Events to show, by rising seq, without a hole between the first and what was handed over. */
    this.events = [];
    /** Whether nothing older than the first is to be had. */
    this.atStart = false;
    /** The highest seq handed over with nothing missing below: what the next `hello` says. */
    this.cursor = 0;
    /** The highest seq handed over. */
    this.handed = 0;
    /** The highest seq handed over or acknowledged: an event whose `prev` is above it shows a gap. */
    this.known = 0;
    /** `{after, prev, closing}`: above `after`, up to `prev`, something is missing. */
    this.gap = null;
    /** The last event of the chat that the server told of. */
    this.head = 0;
    /** Up to where this user has read, and each of the others. */
    this.read = 0;
    this.reads = new Map();
    /** What this user has read and the server was not told yet. */
    this.readWanted = 0;
    this.draft = "";
    /** When older messages may be asked for again, after a refusal. */
    this.olderFrom = 0;
    /** Rises when the events are thrown away, so that an answer from before is not put in. */
    this.generation = 0;
    /** Whether the server's list has it: a direct chat nobody wrote in yet exists here only. */
    this.listed = false;
    /** Whether this session's list, or an event, has named it. */
    this.seen = false;
    /** After a `reset`: requests that may have been sent are looked for in the history first. */
    this.lookup = false;
    this.lookingUp = false;
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

  /** A new device stands where the chat is; what was before is there through `history`. */
  startAt(cursor) {
    this.cursor = this.handed = cursor;
    this.known = Math.max(this.known, cursor);
  }

  /** A new session: it hands over again all above the cursor. */
  resume() {
    this.gap = null;
    this.handed = this.known = this.cursor;
  }

  /** Puts an event in its place, unless it is there. */
  #insert(event) {
    let at = this.events.length;
    while (at > 0 && this.events[at - 1].seq > event.seq) at -= 1;
    if (at === 0 || this.events[at - 1].seq !== event.seq) this.events.splice(at, 0, event);
  }

  /** An event the server handed over (`message`, `edited`, `deleted`, `member`). */
  hand(event) {
    const ownJoin = event.type === "member" && event.user === this.me && event.role !== null;
    if (!ownJoin && event.prev > this.known) {
      this.gap ??= { after: this.known, prev: 0, closing: false };
      this.gap.prev = event.prev;
    }
    if (event.type === "message" || event.type === "member") this.#insert(event);
    else this.#amend(event);
    if (event.prev === 0) this.atStart = true;
    this.handed = Math.max(this.handed, event.seq);
    this.known = Math.max(this.known, event.seq);
    this.head = Math.max(this.head, event.seq);
    if (event.type === "message") this.typing.delete(event.from);
    if (!this.gap) this.cursor = this.handed;
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

  /** An own message got its place. It moves no cursor: another's with a lower seq may be under way. */
  acknowledge(ack, body) {
    this.#insert({
      type: "message", chat: this.id, seq: ack.seq, from: this.me, id: ack.id, time: ack.time, body,
    });
    this.known = Math.max(this.known, ack.seq);
    this.head = Math.max(this.head, ack.seq);
    if (this.gap && ack.seq >= this.gap.prev) this.closeGap();
  }

  closeGap() {
    this.gap = null;
    this.cursor = this.handed;
  }

  /** The server will not hand over what lies between the cursor and `head`. */
  missing(head) {
    this.gap = { after: this.cursor, prev: head, closing: false };
    this.handed = Math.max(this.handed, head);
    this.known = Math.max(this.known, head);
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

  /** The server cannot replay from the cursor: it is `head` now, and what is held no longer joins on. */
  reset(head) {
    this.forget();
    this.cursor = this.handed = this.known = this.head = head;
    this.lookup = true;
  }

  /** Throws away what is held; the cursor stands. */
  forget() {
    this.events = [];
    this.atStart = false;
    this.gap = null;
    this.generation += 1;
  }

  /** Another log: nothing that was known counts. */
  restart() {
    this.forget();
    this.cursor = this.handed = this.known = this.head = this.read = this.readWanted = 0;
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
  snapshot(withEvents) {
    let from = this.events.length;
    let bytes = 0;
    while (withEvents && from > 0 && this.events.length - from < KEPT_MESSAGES) {
      bytes += JSON.stringify(this.events[from - 1]).length;
      if (bytes > KEPT_BYTES) break;
      from -= 1;
    }
    return {
      id: this.id, cursor: this.cursor, head: this.head, listed: this.listed, draft: this.draft,
      read: this.read, readWanted: this.readWanted, reads: [...this.reads], atStart: this.atStart && from === 0, events: this.events.slice(from),
    };
  }

  static restore(kept, me) {
    const chat = new Timeline(kept.id, me);
    chat.events = kept.events;
    chat.atStart = kept.atStart;
    chat.cursor = chat.handed = chat.known = kept.cursor;
    chat.read = kept.read;
    chat.readWanted = kept.readWanted;
    chat.head = kept.head;
    chat.listed = kept.listed;
    chat.draft = kept.draft ?? "";
    chat.reads = new Map(kept.reads);
    return chat;
  }
}
