// A FastChat client: the chats of a user and the promise that each message is there once, in its place.
// It keeps the client's side of PROTOCOL: cursors, gaps closed through history, resets.

import { Connection, jitter } from "./connection.js";
import { Outbox, insist } from "./outbox.js";
import { DeviceStore, randomId } from "./storage.js";
import { Timeline, directChat } from "./timeline.js";

/** How long after a change the state is written, in milliseconds. A cursor that is late costs a replay. */
const SAVE_MS = 300;
/** Chats whose newest messages are kept for the next load. */
const KEPT_CHATS = 20;
/** Messages of a page of history; pages in which a request is looked for after a `reset`. */
const PAGE = 50;
const LOOKUP_PAGES = 20;
/** Chats of which the newest messages are fetched unasked, and how many of these requests at a time. */
const PREVIEWS = 50;
const PREVIEWS_AT_ONCE = 4;
/** Bytes of the cursors in a `hello` (the server takes 1 MiB); beyond it the idlest chats are left out. */
const CURSOR_BYTES = 900 * 1024;
/** By how much a request's time may differ from its message's when it is looked for, in milliseconds. */
const LOOKUP_SLACK_MS = 300_000;
/** How often the server is told what was read, and a page of history that did not come asked for again. */
const READ_MS = 300;
const OLDER_AGAIN_MS = 1_000;
/** How long a user is shown as typing, in milliseconds, unless it is said again. */
export const TYPING_MS = 6_000;
/** Members of a room that are shown. */
const MEMBERS = 500;
/** Bytes of a body's JSON (PROTOCOL, "Limits"). */
export const BODY_BYTES = 60 * 1024;

export class Client {
  chats = new Map();
  /** The chat on the screen: it is kept whole in memory. */
  current = null;

  #store;
  #token;
  #changed;
  #log = null;
  /** Whether our cursors count: the server has told where this device stands in all its chats. */
  #returning = false;
  #saveTimer = 0;
  #readTimer = 0;
  #loading = new Set();
  #previews = 0;
  /** Chats that did not fit into the `hello`. */
  #unnamed = new Set();
  /** The last row of the list of chats that came, and whether there are more. */
  #listed = { last: "", more: false };
  /** What to add to our clock to get the server's. */
  #clockAhead = 0;

  /** `changed(chat)` is called when a chat is another, `changed()` when more than that is. */
  constructor(store, { url, token, changed }) {
    this.#store = store;
    this.#token = token;
    this.#changed = changed;
    this.user = store.user;
    const kept = store.loadState();
    if (kept) {
      this.#log = kept.log;
      this.#returning = true;
      for (const chat of kept.chats) this.chats.set(chat.id, Timeline.restore(chat, this.user));
    }
    this.outbox = new Outbox(store, {
      acknowledged: (id, ack, body) => this.#acknowledged(this.chat(id), ack, body),
      answered: (id) => this.#resume(this.chat(id)),
    });
    for (const request of this.outbox.requests) this.chat(request.chat);
    this.connection = new Connection(url, {
      hello: () => this.#hello(),
      frame: (frame) => this.#frame(frame),
      changed: () => this.#phaseChanged(),
    });
    this.outbox.attach(this.connection);
  }

  get device() {
    return this.#store.device;
  }

  /** Whether the browser keeps what is unsent over a reload. */
  get keeps() {
    return !this.#store.failed;
  }

  start() {
    DeviceStore.prune();
    this.connection.connect();
  }

  /** Leaves; what is kept waits for the next page of this user. */
  stop() {
    this.connection.stop();
    this.save();
    this.#store.release();
  }

  /** Leaves, and nothing stays in the browser. */
  signOut() {
    this.connection.stop();
    clearTimeout(this.#saveTimer);
    this.#store.erase();
  }

  /** The chat of that id, made here if it is not known. */
  chat(id) {
    let chat = this.chats.get(id);
    if (!chat) this.chats.set(id, (chat = new Timeline(id, this.user)));
    return chat;
  }

  direct(user) {
    return this.chat(directChat(this.user, user));
  }

  // MARK: Sending

  /** Queues a message; it leaves when the connection is live and those before it are settled. */
  send(chat, body) {
    this.outbox.add(chat.id, body);
    this.#resume(chat);
  }

  /** A refused message once more, as a new request at the end of the queue. */
  sendAgain(request) {
    this.outbox.discard(request);
    this.send(this.chat(request.chat), request.body);
  }

  discard(request) {
    this.outbox.discard(request);
    this.#later(this.chat(request.chat));
  }

  #acknowledged(chat, ack, body) {
    chat.acknowledge(ack, body);
    chat.listed = chat.seen = true;
  }

  /** Goes on with what a chat waits for: its past after a `reset`, a gap, what is to be sent. */
  #resume(chat) {
    if (this.connection.live) {
      if (chat.lookup) this.#lookUp(chat);
      else if (chat.gap) this.#closeGap(chat);
      if (!chat.lookup) this.outbox.pump(chat.id, Date.now() + this.#clockAhead);
    }
    this.#later(chat);
  }

  // MARK: Frames

  #hello() {
    const frame = { type: "hello", user: this.user, device: this.device };
    if (this.#token) frame.token = this.#token;
    this.#unnamed.clear();
    if (!this.#returning) return frame;
    frame.log = this.#log;
    frame.cursors = { "*": 0 };
    const chats = [...this.chats.values()].filter((chat) => chat.listed).sort((a, b) => b.cursor - a.cursor);
    let bytes = 0;
    for (const chat of chats) {
      bytes += chat.id.length + 24;
      if (bytes <= CURSOR_BYTES) frame.cursors[chat.id] = chat.cursor;
      else this.#unnamed.add(chat.id);
    }
    if (this.#unnamed.size > 0) delete frame.cursors["*"];
    return frame;
  }

  #frame(frame) {
    switch (frame.type) {
      case "welcome":
        return this.#welcome(frame);
      case "live":
        for (const chat of this.chats.values()) this.#live(chat);
        return void this.#list();
      case "message":
      case "edited":
      case "deleted":
      case "member":
        return this.#event(this.chat(frame.chat), frame);
      case "reset": {
        const chat = this.chat(frame.chat);
        chat.reset(frame.head);
        chat.listed = chat.seen = true;
        this.#resume(chat);
        return this.#preview();
      }
      case "read":
      case "typing": {
        const chat = this.chats.get(frame.chat);
        if (chat) chat.note(frame, Date.now() + TYPING_MS);
        return chat && this.#later(chat);
      }
      default:
      // A word of a newer server.
    }
  }

  #event(chat, event) {
    // The list of a new device's chats is on its way: it stands where this event begins.
    if (!this.#returning && !chat.listed) chat.startAt(event.prev ?? 0);
    chat.hand(event);
    chat.listed = chat.seen = true;
    if (event.type === "message" && event.from === this.user) this.outbox.settle(chat.id, event.id);
    if (event.type === "member" && event.user === this.user && event.role === null) return this.#left(chat);
    if (chat !== this.current) chat.trim();
    this.#resume(chat);
  }

  #welcome(frame) {
    this.#clockAhead = frame.time - Date.now();
    this.outbox.restart();
    this.outbox.frameBytes = frame.limits.frame;
    const known = this.#returning && this.#log === frame.log;
    for (const chat of this.chats.values()) {
      if (known) chat.resume();
      else chat.restart();
      chat.seen = false;
    }
    this.#log = frame.log;
    for (const row of frame.chats) this.#row(row, row.head);
    this.#listed = { last: frame.chats.at(-1)?.chat ?? "", more: frame.more };
    this.#returning ||= !frame.more;
  }

  /** A row of the list of chats; `cursor` is where a device begins that has none. */
  #row(row, cursor) {
    const chat = this.chat(row.chat);
    if (!this.#returning && !chat.listed) chat.startAt(cursor);
    // Not replayed, since the hello did not name it: what is missing comes by history.
    if (this.#unnamed.delete(row.chat) && row.head > chat.cursor) chat.missing(row.head);
    chat.head = Math.max(chat.head, row.head);
    chat.read = Math.max(chat.read, row.read);
    chat.listed = chat.seen = true;
    return chat;
  }

  #live(chat) {
    this.#resume(chat);
    this.#sayRead();
  }

  /** The rest of the list of chats; what is absent from the whole list, the user is no longer in. */
  async #list() {
    const { session } = this.connection;
    try {
      while (this.#listed.more) {
        const frame = { type: "chats", id: randomId(), after: this.#listed.last, limit: 100 };
        const page = await this.connection.ask(frame);
        for (const row of page.chats) this.#live(this.#row(row, row.cursor ?? row.head));
        this.#listed = { last: page.chats.at(-1)?.chat ?? "", more: page.more && page.chats.length > 0 };
      }
    } catch {
      if (session === this.connection.session) setTimeout(() => this.connection.live && this.#list(), jitter(3));
      return;
    }
    this.#returning = true;
    for (const chat of [...this.chats.values()]) {
      if (chat.listed && !chat.seen) this.#left(chat);
    }
    this.#later();
    this.#preview();
  }

  #left(chat) {
    if (chat.isRoom && this.outbox.of(chat.id).length === 0) this.chats.delete(chat.id);
    else chat.restart();
    this.#later();
  }

  // MARK: The past

  isLoading(chat) {
    return this.#loading.has(chat.id);
  }

  /** Fetches the page before what is held; false if there is none or it did not come. */
  async loadOlder(chat) {
    if (chat.atStart || !this.connection.live || this.isLoading(chat) || Date.now() < chat.olderFrom) return false;
    const { generation } = chat;
    const before = chat.floor > 0 ? { before: chat.floor } : {};
    this.#loading.add(chat.id);
    try {
      const page = await this.#history(chat, { ...before, limit: PAGE });
      if (!page) return false;
      chat.atStart = !page.more;
      return true;
    } catch (refusal) {
      chat.olderFrom = Date.now() + (refusal.retryMs ?? OLDER_AGAIN_MS);
      // A direct chat that nobody wrote in has no past to wait for.
      if (!chat.listed && generation === chat.generation) chat.atStart = true;
      return false;
    } finally {
      this.#loading.delete(chat.id);
      this.#later(chat);
    }
  }

  /** A page of history, put in its place; null if the chat was begun anew meanwhile. */
  async #history(chat, range) {
    const { generation } = chat;
    const page = await this.connection.ask({ type: "history", id: randomId(), chat: chat.id, ...range });
    if (generation !== chat.generation) return null;
    chat.merge(page.messages);
    for (const message of page.messages) {
      if (message.from === this.user) this.outbox.settle(chat.id, message.id);
    }
    return page;
  }

  /** The newest messages of chats of which nothing is held, those with the latest events first. */
  #preview() {
    const wanted = [...this.chats.values()].filter((chat) => chat.head > 0 && !chat.lastMessage && !chat.atStart);
    wanted.sort((a, b) => b.head - a.head);
    for (const chat of wanted.slice(0, PREVIEWS)) {
      if (this.#previews >= PREVIEWS_AT_ONCE || !this.connection.live) return;
      if (this.isLoading(chat)) continue;
      this.#previews += 1;
      this.loadOlder(chat).then((came) => {
        this.#previews -= 1;
        if (came) this.#preview();
      });
    }
  }

  /** After a `reset`: a request that may have been sent is looked for by its id before it is sent anew. */
  async #lookUp(chat) {
    if (chat.lookingUp) return;
    chat.lookingUp = true;
    const { session } = this.connection;
    let came = true;
    for (let page = 0; came && page < LOOKUP_PAGES && !chat.atStart; page++) {
      const sent = this.outbox.sentOf(chat.id).map((request) => request.sent);
      const oldest = chat.events.find((event) => event.type === "message")?.time ?? Infinity;
      if (sent.length === 0 || oldest < Math.min(...sent) - LOOKUP_SLACK_MS) break;
      came = await this.loadOlder(chat);
    }
    chat.lookingUp = false;
    if (came || this.outbox.sentOf(chat.id).length === 0) {
      chat.lookup = false;
      this.#resume(chat);
    } else if (session === this.connection.session) {
      setTimeout(() => this.#resume(chat), jitter(3));
    } else {
      this.#resume(chat);
    }
  }

  /** Fetches what lies in a gap, once the answers that may explain it are there. */
  async #closeGap(chat) {
    const { gap } = chat;
    if (gap.closing || this.outbox.isWaiting(chat.id)) return;
    gap.closing = true;
    const upTo = gap.prev;
    try {
      for (let more = true; more; ) {
        const page = await this.#history(chat, { after: gap.after, limit: 100 });
        if (!page || chat.gap !== gap) return;
        gap.after = page.messages.at(-1)?.seq ?? gap.after;
        more = page.more && page.messages.length > 0 && gap.after < gap.prev;
      }
      // Closed after one whole answer: history holds messages only. Another may have opened above it.
      if (gap.prev <= Math.max(upTo, gap.after)) chat.closeGap();
      gap.closing = false;
      this.#resume(chat);
    } catch {
      gap.closing = false;
      setTimeout(() => chat.gap === gap && this.#resume(chat), jitter(3));
    }
  }

  // MARK: Rooms, reading, typing

  async join(room) {
    await insist(this.connection, { type: "join", chat: room });
    return this.#entered(room);
  }

  async create(room) {
    await insist(this.connection, { type: "create", chat: room, name: room.slice(5), public: true });
    return this.#entered(room);
  }

  #entered(room) {
    const chat = this.chat(room);
    chat.listed = chat.seen = true;
    chat.atStart = false;
    this.#later();
    return chat;
  }

  async leave(chat) {
    await insist(this.connection, { type: "leave", chat: chat.id });
    this.#left(chat);
  }

  /** The first members of a room: `{members, more}`. */
  async members(chat) {
    const members = [];
    let more = true;
    while (more && members.length < MEMBERS) {
      const frame = { type: "members", id: randomId(), chat: chat.id, limit: 100 };
      if (members.length > 0) frame.after = members.at(-1).user;
      const page = await this.connection.ask(frame);
      members.push(...page.members);
      more = page.more && page.members.length > 0;
    }
    return { members, more };
  }

  /** What the user has seen; said as soon as there is a connection, the highest wins. */
  markRead(chat, seq) {
    chat.readWanted = Math.max(chat.readWanted, seq);
    chat.read = Math.max(chat.read, seq);
    this.#sayRead();
    this.#later(chat);
  }

  /** One mark for all that was read meanwhile: marks count as requests. */
  #sayRead() {
    this.#readTimer ||= setTimeout(() => {
      this.#readTimer = 0;
      for (const chat of this.chats.values()) {
        if (chat.readWanted === 0 || !this.connection.live) continue;
        this.connection.send({ type: "read", chat: chat.id, seq: chat.readWanted });
        chat.readWanted = 0;
      }
    }, READ_MS);
  }

  typing(chat, on) {
    if (this.connection.live && chat.listed) this.connection.send({ type: "typing", chat: chat.id, on });
  }

  // MARK: Keeping

  #phaseChanged() {
    if (!this.connection.live) for (const chat of this.chats.values()) chat.typing.clear();
    this.#changed();
  }

  /** Shown at once, written soon. */
  #later(chat) {
    this.#saveTimer ||= setTimeout(() => this.save(), SAVE_MS);
    this.#changed(chat);
  }

  setDraft(chat, text) {
    chat.draft = text.trim() === "" ? "" : text;
    this.#saveTimer ||= setTimeout(() => this.save(), SAVE_MS);
  }

  save() {
    clearTimeout(this.#saveTimer);
    this.#saveTimer = 0;
    if (!this.#returning) return;
    const chats = [...this.chats.values()].filter((chat) => chat.listed || chat.draft);
    chats.sort((a, b) => b.head - a.head);
    this.#store.saveState({ log: this.#log, chats: chats.map((chat, at) => chat.snapshot(at < KEPT_CHATS)) });
  }
}
