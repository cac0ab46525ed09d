// What the page shows: the chats of a user, each a timeline, kept beside the SDK's cursors so that both are
// always of one moment.

import { ChatClient, directChat } from "./sdk/fastchat.js";
import { Timeline } from "./timeline.js";

/** Messages of a page of history. */
const PAGE = 50;
/** Chats of which the newest messages are fetched unasked, and how many of these requests at a time. */
const PREVIEWS = 50;
const PREVIEWS_AT_ONCE = 4;
/** After how long a page of history that did not come is asked for again, in milliseconds. */
const OLDER_AGAIN_MS = 1_000;
/** How long a user is shown as typing, in milliseconds, unless it is said again. */
const TYPING_MS = 6_000;
/** How long after somebody came or went the members of a room are counted, in milliseconds. */
const COUNT_MS = 300;
/** Members of a room that are shown. */
const MEMBERS = 500;
/** Bytes of a body's JSON (PROTOCOL, "Limits"). */
export const BODY_BYTES = 60 * 1024;

export class Model {
  chats = new Map();
  /** The chat on the screen: it is kept whole in memory. */
  current = null;

  #client;
  #changed;
  #loading = new Set();
  #previews = 0;

  /** `changed()` is called after each change. */
  static async open({ user, token, storage, changed }) {
    const model = new Model(user, changed);
    model.#client = await ChatClient.open({
      user, token, storage,
      keep: (id) => model.chats.get(id)?.snapshot(),
      onEvent: (event) => model.#event(event),
    });
    for (const { chat, kept } of model.#client.kept()) model.chats.set(chat, Timeline.restore(chat, user, kept));
    for (const { chat } of model.#client.pending()) model.chat(chat);
    model.#client.start();
    return model;
  }

  constructor(user, changed) {
    this.user = user;
    this.#changed = changed;
  }

  get device() {
    return this.#client.device;
  }

  get state() {
    return this.#client.state;
  }

  get isLive() {
    return this.state.phase === "live";
  }

  /** Now, instead of when it would try again. */
  hurry() {
    this.#client.hurry();
  }

  /** Leaves; what is kept waits for the next page of this user. */
  stop() {
    return this.#client.stop();
  }

  /** Leaves, and nothing stays in the browser. */
  signOut() {
    return this.#client.signOut();
  }

  /** Writes what is not written yet. */
  flush() {
    this.#client.flush();
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

  // MARK: What comes in

  #event(event) {
    switch (event.type) {
      case "message":
      case "edited":
      case "deleted":
      case "member":
        this.#logged(this.chat(event.chat), event);
        break;
      case "sent":
        if (event.isMessage) this.chat(event.chat).sent(event);
        break;
      case "refused":
        if (event.isMessage) this.#refused(this.chat(event.chat), event);
        break;
      case "reset":
        this.chat(event.chat).reset(event.head);
        this.#preview();
        break;
      case "chats":
        this.#listed(event);
        break;
      case "read":
      case "typing":
        this.#noted(this.chats.get(event.chat), event);
        break;
      case "left":
        this.#left(this.chat(event.chat));
        break;
      case "other-log":
        for (const chat of this.chats.values()) this.#left(chat);
        break;
      case "state":
        if (event.phase !== "live") for (const chat of this.chats.values()) chat.typing.clear();
        break;
    }
    this.#changed();
  }

  #logged(chat, event) {
    chat.hand(event);
    if (event.type === "member" && event.user === this.user && event.role === null) this.#left(chat);
    else if (chat !== this.current) chat.trim();
    else if (event.type === "member") this.countMembers(chat);
  }

  #refused(chat, { id, request, created, error }) {
    chat.refused.push({ id, body: request.body, created, reason: error.text });
  }

  #listed({ chats, complete }) {
    for (const row of chats) {
      const chat = this.chat(row.chat);
      chat.listed = true;
      chat.head = Math.max(chat.head, row.head);
      chat.read = Math.max(chat.read, row.read ?? 0);
    }
    if (complete) this.#preview();
  }

  #noted(chat, event) {
    if (!chat) return;
    chat.note(event, Date.now() + TYPING_MS);
    if (event.type === "read") this.#client.save(chat.id);
  }

  #left(chat) {
    chat.restart();
    if (chat.isRoom && chat !== this.current && !chat.draft && this.unsent(chat).length === 0) this.chats.delete(chat.id);
    else this.#client.save(chat.id);
  }

  // MARK: Sending

  /** What waits in a chat, or in all, in the order it was written: `{id, body, created}`, refused ones with `reason`. */
  unsent(chat) {
    const waiting = this.#client.pending(chat?.id).filter(({ request }) => request.type === "send");
    const refused = chat ? chat.refused : [...this.chats.values()].flatMap((other) => other.refused);
    const all = [...refused, ...waiting.map(({ id, request, created }) => ({ id, body: request.body, created }))];
    return all.sort((a, b) => a.created - b.created);
  }

  send(chat, body) {
    this.#client.send(chat.id, body);
    this.#changed();
  }

  /** A refused message once more, as a new request at the end of the queue. */
  sendAgain(chat, message) {
    this.discard(chat, message);
    this.send(chat, message.body);
  }

  discard(chat, message) {
    chat.refused = chat.refused.filter((other) => other !== message);
    this.#client.save(chat.id);
    this.#changed();
  }

  setDraft(chat, text) {
    chat.draft = text.trim() === "" ? "" : text;
    this.#client.save(chat.id);
  }

  // MARK: The past

  isLoading(chat) {
    return this.#loading.has(chat.id);
  }

  /** Fetches the page before what is held; false if there is none or it did not come. */
  async loadOlder(chat) {
    if (chat.atStart || !this.isLive || this.isLoading(chat) || Date.now() < chat.olderFrom) return false;
    const { generation } = chat;
    this.#loading.add(chat.id);
    try {
      const page = await this.#client.history(chat.id, { ...(chat.floor > 0 && { before: chat.floor }), limit: PAGE });
      if (generation !== chat.generation) return false;
      chat.merge(page.messages);
      chat.atStart = !page.more;
      this.#client.save(chat.id);
      return true;
    } catch (error) {
      chat.olderFrom = Date.now() + Math.max(error.retryMs ?? 0, OLDER_AGAIN_MS);
      // A direct chat that nobody wrote in has no past to wait for.
      if (!chat.listed && generation === chat.generation) chat.atStart = true;
      return false;
    } finally {
      this.#loading.delete(chat.id);
      this.#changed();
    }
  }

  /** The newest messages of chats of which nothing is held, those with the latest events first. */
  #preview() {
    const wanted = [...this.chats.values()].filter((chat) => chat.head > 0 && !chat.lastMessage && !chat.atStart);
    wanted.sort((a, b) => b.head - a.head);
    for (const chat of wanted.slice(0, PREVIEWS)) {
      if (this.#previews >= PREVIEWS_AT_ONCE || !this.isLive) return;
      if (this.isLoading(chat)) continue;
      this.#previews += 1;
      this.loadOlder(chat).then((came) => {
        this.#previews -= 1;
        if (came) this.#preview();
      });
    }
  }

  // MARK: Rooms, reading, typing

  async join(room) {
    await this.#client.request({ type: "join", chat: room }).done;
    return this.#entered(room);
  }

  async create(room) {
    await this.#client.request({ type: "create", chat: room, name: room.slice(5), public: true }).done;
    return this.#entered(room);
  }

  #entered(room) {
    const chat = this.chat(room);
    chat.listed = true;
    chat.atStart = false;
    this.#changed();
    return chat;
  }

  async leave(chat) {
    await this.#client.request({ type: "leave", chat: chat.id }).done;
  }

  /** The first members of a room: `{members, more}`. */
  async members(chat) {
    const members = [];
    let more = true;
    while (more && members.length < MEMBERS) {
      const page = await this.#client.members(chat.id, { ...(members.length > 0 && { after: members.at(-1).user }), limit: 100 });
      members.push(...page.members);
      more = page.more && page.members.length > 0;
    }
    return { members, more };
  }

  /** How many are in a room, for its title. */
  async countMembers(chat) {
    // Once for many who come at once.
    if (chat.counting) return;
    chat.counting = true;
    await new Promise((resolve) => setTimeout(resolve, COUNT_MS));
    chat.counting = false;
    try {
      const { members, more } = await this.#client.members(chat.id, { limit: 100 });
      chat.members = { count: members.length, more };
      this.#changed();
    } catch {
      // The title goes without it.
    }
  }

  /** What the user has seen. */
  markRead(chat, seq) {
    chat.read = Math.max(chat.read, seq);
    this.#client.read(chat.id, seq);
    this.#client.save(chat.id);
    this.#changed();
  }

  typing(chat, on) {
    if (chat.listed) this.#client.typing(chat.id, on);
  }
}
