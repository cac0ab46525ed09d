// The chats of a user as this device knows them: cursors, order, gaps, resets. Each event of a chat's log is
// handed over once, by rising seq.

import { isPassing } from "./errors.js";
import { peerOf } from "./names.js";

/** Events that are held behind a gap. One more, and the connection is made anew: the server replays. */
const HELD_MAX = 4_096;
/** Own seqs that are remembered, the window of a chat: what is further back is not replayed. */
const OWN_MAX = 10_000;
/** Messages of a page of history. */
const PAGE = 100;
/** Bytes of the cursors in a `hello` (the server takes 1 MiB); beyond it the idlest chats are left out. */
const CURSOR_BYTES = 900 * 1024;
/** What a name and a number take beside their text: quotes, colon, comma, 16 digits. */
const CURSOR_EXTRA_BYTES = 20;
/** After how long a gap is asked for again, in milliseconds, where the server said no. */
const GAP_AGAIN_MS = 1_000;

class ChatState {
  constructor(id, cursor, own = [], kept = null) {
    this.id = id;
    /** The highest seq handed over; null where a new device does not know yet where it begins. */
    this.cursor = cursor;
    /** The highest seq handed over or acknowledged: an event whose `prev` is above it shows a gap. */
    this.known = cursor ?? 0;
    /** Seqs above the cursor of what this device sent itself, rising: it knows them already. */
    this.own = own;
    /** What the application kept of it at the last start. */
    this.kept = kept;
    /** `{upTo, held, asking, timer}`: something is missing above the cursor. */
    this.gap = null;
    /** This session's list, or an event, has named it. */
    this.seen = false;
  }

  passed(seq) {
    this.cursor = seq;
    this.known = Math.max(this.known, seq);
    let dropped = 0;
    while (dropped < this.own.length && this.own[dropped] <= seq) dropped += 1;
    if (dropped > 0) this.own.splice(0, dropped);
  }
}

/**
 * Calls back `hand(event)`, `changed(id)` and `forgotten(id)` for what is kept, `settles(event)` whether an own
 * message answers a request, `isUnderWay(id)`, `idle(id)` when a chat may go on, `doubt(id)` after a reset,
 * `history(range)`, `overflow()`.
 */
export class Chats {
  #user;
  #on;
  #map = new Map();
  /** Chats that did not fit into the `hello`. */
  #unnamed = new Set();
  #saidStar = false;
  /** Cursors stand for all chats of the user: the device is one that comes back. */
  isReturning = false;

  constructor(user, on) {
    this.#user = user;
    this.#on = on;
  }

  restore({ returning, chats }) {
    this.isReturning = returning;
    for (const { chat, cursor, own, kept } of chats) this.#map.set(chat, new ChatState(chat, cursor, own, kept));
  }

  get(id) {
    return this.#map.get(id);
  }

  all() {
    return [...this.#map.values()];
  }

  /** A chat of which only what the application keeps is known. */
  touch(id) {
    if (!this.#map.has(id)) this.#map.set(id, new ChatState(id, null));
  }

  // MARK: Sessions

  /** The cursors of a `hello`. */
  cursors() {
    this.#unnamed.clear();
    this.#saidStar = this.isReturning;
    const cursors = {};
    let bytes = 0;
    const placed = this.all().filter((chat) => chat.cursor !== null).sort((a, b) => b.cursor - a.cursor);
    for (const chat of placed) {
      bytes += chat.id.length + CURSOR_EXTRA_BYTES;
      if (bytes <= CURSOR_BYTES) cursors[chat.id] = chat.cursor;
      else this.#unnamed.add(chat.id);
    }
    if (this.#unnamed.size > 0) this.#saidStar = false;
    if (this.#saidStar) cursors["*"] = 0;
    return Object.keys(cursors).length > 0 ? cursors : undefined;
  }

  /** The next session replays all above the cursors. */
  lost() {
    for (const chat of this.#map.values()) {
      this.#dropGap(chat);
      chat.known = chat.cursor ?? 0;
      chat.seen = false;
    }
  }

  /** Another log: nothing that was known counts. */
  forgetAll() {
    for (const chat of this.all()) this.#forget(chat);
  }

  #forget(chat) {
    this.#dropGap(chat);
    this.#map.delete(chat.id);
    this.#on.forgotten(chat.id);
  }

  // MARK: Events

  /** An event of a chat's log came. */
  logged(event) {
    let chat = this.#map.get(event.chat);
    if (!chat) this.#map.set(event.chat, (chat = new ChatState(event.chat, null)));
    chat.seen = true;
    // A new device, whose list is still under way, begins where this event does.
    if (chat.cursor === null) {
      chat.cursor = this.isReturning ? 0 : event.prev ?? 0;
      chat.known = Math.max(chat.known, chat.cursor);
    }
    if (event.seq <= chat.cursor) return;
    if (chat.gap) {
      chat.gap.held.push(event);
      if (chat.gap.held.length > HELD_MAX) this.#on.overflow();
    } else if (event.prev > chat.known && !this.#isOwnJoin(event)) {
      chat.gap = { upTo: event.prev, held: [event], asking: false, timer: 0 };
      this.closeGap(chat.id);
    } else {
      this.#hand(chat, event);
    }
  }

  /** What was before the own joining is no gap. */
  #isOwnJoin(event) {
    return event.type === "member" && event.user === this.#user && event.role !== null;
  }

  #hand(chat, event) {
    const isOwn = event.from === this.#user;
    const isKnown = isOwn && chat.own.includes(event.seq);
    chat.passed(event.seq);
    this.#on.changed(chat.id);
    if (isKnown || (isOwn && event.type === "message" && this.#on.settles(event))) return;
    const isRemoval = event.type === "member" && event.user === this.#user && event.role === null;
    if (isRemoval) this.#forget(chat);
    this.#on.hand(event);
  }

  /** An own message got its place. It moves no cursor: another's with a lower seq may be under way. */
  sent(id, seq) {
    let chat = this.#map.get(id);
    if (!chat) {
      this.#map.set(id, (chat = new ChatState(id, this.isReturning ? 0 : null)));
      chat.seen = true;
    }
    chat.known = Math.max(chat.known, seq);
    if (seq <= (chat.cursor ?? 0) || chat.own.includes(seq)) return;
    let at = chat.own.length;
    while (at > 0 && chat.own[at - 1] > seq) at -= 1;
    chat.own.splice(at, 0, seq);
    if (chat.own.length > OWN_MAX) chat.own.shift();
    this.#on.changed(id);
  }

  reset({ chat: id, head, type }) {
    const old = this.#map.get(id);
    const own = (old?.own ?? []).filter((seq) => seq > head);
    if (old) this.#dropGap(old);
    const chat = new ChatState(id, head, own);
    chat.seen = true;
    this.#map.set(id, chat);
    this.#on.changed(id);
    this.#on.hand({ type, chat: id, head });
    this.#on.doubt(id);
  }

  // MARK: Gaps

  /** Asks for what lies in a gap, once the answers that may explain it are there. */
  async closeGap(id) {
    const chat = this.#map.get(id);
    const gap = chat?.gap;
    if (!gap || gap.asking || gap.timer || this.#on.isUnderWay(id)) return;
    if (chat.known >= gap.upTo) return this.#gapIsClosed(chat);
    gap.asking = true;
    try {
      for (let after = chat.cursor, more = true; more; ) {
        const page = await this.#on.history({ chat: id, after, limit: PAGE });
        for (const row of page.messages) {
          if (chat.gap !== gap || row.seq > gap.upTo) break;
          if (row.seq > chat.cursor) this.#hand(chat, { type: "message", chat: id, ...row });
        }
        if (chat.gap !== gap) return;
        after = page.messages.at(-1)?.seq ?? Infinity;
        more = page.more && after < gap.upTo;
      }
      // Closed after one whole answer: history holds messages only.
      this.#gapIsClosed(chat);
    } catch (error) {
      if (chat.gap !== gap) return;
      gap.asking = false;
      if (!isPassing(error)) return this.#gapIsClosed(chat);
      gap.timer = setTimeout(() => {
        gap.timer = 0;
        this.closeGap(id);
      }, Math.max(error.retryMs, GAP_AGAIN_MS));
    }
  }

  #gapIsClosed(chat) {
    const { upTo, held } = chat.gap;
    this.#dropGap(chat);
    chat.known = Math.max(chat.known, upTo);
    // Without an event behind it, what was asked for is all up to there.
    if (held.length === 0 && upTo > chat.cursor) {
      chat.passed(upTo);
      this.#on.changed(chat.id);
    }
    for (const event of held) this.logged(event);
    this.#on.idle(chat.id);
  }

  #dropGap(chat) {
    clearTimeout(chat.gap?.timer);
    chat.gap = null;
  }

  // MARK: The list

  /** A row of the server's list; that of `welcome` stands where its head is. */
  listed(row, isWelcome) {
    const known = this.#map.get(row.chat);
    const chat = known ?? new ChatState(row.chat, null);
    chat.seen = true;
    this.#map.set(row.chat, chat);
    if (known && known.cursor !== null) {
      // The hello did not name it, so that nothing of it is replayed.
      if (this.#unnamed.delete(row.chat) && row.head > known.cursor) this.#missing(chat, row.head);
    } else if (!this.isReturning) {
      this.#place(chat, isWelcome ? row.head : row.cursor ?? row.head);
    } else if (this.#saidStar || peerOf(row.chat, this.#user) !== null) {
      this.#place(chat, 0);
      if (!this.#saidStar && row.head > 0) this.#missing(chat, row.head);
    } else {
      // A room that was joined while the device was away, and a hello without room for "*".
      this.#place(chat, row.cursor ?? row.head);
      this.#on.hand({ type: "reset", chat: row.chat, head: row.head });
    }
  }

  #place(chat, cursor) {
    chat.passed(cursor);
    this.#on.changed(chat.id);
  }

  /** The server will not hand over what lies between the cursor and `head`; what comes meanwhile is held. */
  #missing(chat, head) {
    chat.gap ??= { upTo: head, held: [], asking: false, timer: 0 };
    chat.gap.upTo = Math.max(chat.gap.upTo, head);
    this.closeGap(chat.id);
  }

  /** All of the list came: what is absent from it, the user is no longer in. */
  listIsComplete() {
    for (const chat of this.all()) {
      if (chat.seen || chat.cursor === null) continue;
      this.#forget(chat);
      this.#on.hand({ type: "left", chat: chat.id });
    }
    this.isReturning = true;
  }
}
