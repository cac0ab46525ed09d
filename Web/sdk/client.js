// One user's device: it keeps the client's side of PROTOCOL. What is sent happens once, and each event of a
// chat is handed over once and in order, whatever breaks in between.

import { Chats } from "./chats.js";
import { Connection, TIMES } from "./connection.js";
import { FastChatError, isPassing } from "./errors.js";
import { Journal } from "./journal.js";
import { chatOf, isName, randomId } from "./names.js";
import { Outbox } from "./outbox.js";
import { claimDevice } from "./storage.js";

/** Rows of a page of the list of chats. */
const PAGE = 100;
/** How often the server is told what was read, in milliseconds: one mark for all that was read meanwhile. */
const READ_MS = 300;
/** How long a question may wait for its answer, and for its next try, in milliseconds. */
const QUESTION_MS = 30_000;
const QUESTION_AGAIN_MS = 1_000;
/** Requests that are kept until they are settled; all others only ask. */
const KEPT = new Set(["send", "edit", "delete", "create", "join", "leave", "invite", "remove"]);

/** See `fastchat.d.ts` for what each part is. */
export class ChatClient {
  #options;
  #times;
  #storage;
  #connection;
  #chats;
  #outbox;
  #journal;
  #log = null;
  #clockAhead = 0;
  #number = 0;
  /** Who waits for the outcome of a request of this page: id -> {resolve, reject}. */
  #outcomes = new Map();
  #reads = new Map();
  #readTimer = 0;
  /** Who waits until questions can be asked. */
  #attached = new Set();
  #isStopped = false;
  /** The last row of the list of chats that came; null when all of it came. */
  #listedUpTo = "";

  /** Takes up what is kept; resolves to a client that is not started. */
  static async open(options) {
    if (!isName(options.user)) throw new TypeError("a user's name is of letters, digits and . _ - @, at most 64");
    const storage = options.storage ?? (await claimDevice(options.user));
    let kept = null;
    let error = storage.error ?? null;
    try {
      kept = await storage.load();
    } catch (reason) {
      error = reason;
    }
    return new ChatClient(options, storage, kept, error);
  }

  constructor(options, storage, kept, error) {
    this.#options = { url: defaultURL(), ...options, device: storage.device };
    this.#times = { ...TIMES, ...options.times };
    this.#storage = storage;
    this.#journal = new Journal(storage, this.#times.save, {
      device: () => ({ log: this.#log, returning: this.#chats.isReturning }),
      chat: (id) => this.#row(id),
      failed: (reason) => this.#hand({ type: "storage", error: reason }),
    });
    this.#journal.error = error;
    this.#chats = new Chats(options.user, {
      hand: (event) => this.#hand(event),
      changed: (id) => this.#journal.chat(id),
      forgotten: (id) => this.#journal.forget(id),
      settles: (event) => this.#outbox.settle(event),
      isUnderWay: (id) => this.#outbox.isUnderWay(id),
      idle: (id) => this.#outbox.pump(id),
      doubt: (id) => this.#outbox.doubt(id),
      history: (range) => this.#question({ type: "history", ...range }),
      overflow: () => this.#connection.restart(),
    });
    this.#outbox = new Outbox({
      isLive: () => this.#connection.phase === "live",
      serverNow: () => this.serverNow,
      ask: (frame) => this.#connection.ask(frame),
      history: (range) => this.#question({ type: "history", ...range }),
      closeGap: (id) => this.#chats.closeGap(id),
      settled: (request, seq, time) => this.#settled(request, seq, time),
      refused: (request, reason) => this.#refused(request, reason),
    });
    this.#connection = new Connection(this.#options, this.#times, {
      hello: (token) => this.#hello(token),
      frame: (frame) => this.#frame(frame),
      lost: () => this.#lost(),
      changed: () => this.#stateChanged(),
    });
    if (kept) this.#restore(kept);
  }

  #restore({ device, chats, requests }) {
    this.#log = device?.log ?? null;
    this.#chats.restore({ returning: device?.returning ?? false, chats });
    this.#outbox.restore(requests);
    this.#number = Math.max(0, ...requests.map((request) => request.number));
  }

  get user() {
    return this.#options.user;
  }

  get device() {
    return this.#storage.device;
  }

  get state() {
    const { phase, error, retryAt } = this.#connection;
    return { phase, error, retryAt, storage: this.#journal.error };
  }

  /** The server's time, in milliseconds since 1970, as far as it is known. */
  get serverNow() {
    return Date.now() + this.#clockAhead;
  }

  kept() {
    return this.#chats.all().filter((chat) => chat.kept !== null).map(({ id, cursor, kept }) => ({ chat: id, cursor, kept }));
  }

  pending(chat) {
    return this.#outbox.requests(chat).map(({ id, chat: place, frame, created }) => ({ id, chat: place, request: frame, created }));
  }

  // MARK: Life

  start() {
    if (this.#connection.phase !== "idle" || this.#isStopped) return;
    if (this.#journal.error) this.#hand({ type: "storage", error: this.#journal.error });
    this.#connection.start();
  }

  hurry() {
    this.#connection.hurry();
  }

  async stop() {
    this.#isStopped = true;
    this.#connection.stop();
    clearTimeout(this.#readTimer);
    await this.#journal.flush();
    this.#storage.release?.();
  }

  async signOut() {
    this.#isStopped = true;
    this.#connection.stop();
    clearTimeout(this.#readTimer);
    this.#journal.close();
    await this.#storage.erase?.();
  }

  flush() {
    return this.#journal.flush();
  }

  save(chat) {
    this.#chats.touch(chat);
    this.#journal.chat(chat);
  }

  // MARK: Requests that count

  send(to, body) {
    const chat = chatOf(to, this.user);
    return this.request({ type: "send", to: chat, body });
  }

  request(request) {
    if (this.#isStopped) throw new FastChatError("stopped", "the client is stopped");
    if (!KEPT.has(request.type)) throw new TypeError(`${request.type} only asks, or is not known: see ask()`);
    const id = randomId();
    const chat = chatOf(request.chat ?? request.to, this.user);
    // What JSON cannot say is gone now rather than later: a repeat says the same byte for byte.
    const frame = JSON.parse(JSON.stringify({ ...request, id }));
    if (frame.body === undefined && (frame.type === "send" || frame.type === "edit")) {
      throw new TypeError("a body is anything that JSON can say");
    }
    const entry = { id, chat, frame, isMessage: frame.type === "send", created: Date.now(), since: this.serverNow, number: ++this.#number };
    const done = new Promise((resolve, reject) => this.#outcomes.set(id, { resolve, reject }));
    // Who does not wait for it is told by `sent` and `refused`.
    done.catch(() => {});
    this.#outbox.add(entry, this.#journal.add(entry));
    return { id, chat, done };
  }

  #settled({ id, chat, frame, isMessage }, seq, time) {
    this.#journal.settle(id);
    if (seq !== null) this.#chats.sent(chat, seq);
    this.#journal.chat(chat);
    this.#hand({ type: "sent", id, chat, seq, time, request: frame, isMessage });
    this.#outcomes.get(id)?.resolve({ id, chat, seq, time });
    this.#outcomes.delete(id);
  }

  #refused({ id, chat, frame, isMessage, created }, error) {
    this.#journal.settle(id);
    this.#chats.touch(chat);
    this.#journal.chat(chat);
    this.#hand({ type: "refused", id, chat, error, request: frame, isMessage, created });
    this.#outcomes.get(id)?.reject(error);
    this.#outcomes.delete(id);
  }

  // MARK: Requests that ask

  async ask(request, { timeoutMs = QUESTION_MS } = {}) {
    if (KEPT.has(request.type)) throw new TypeError(`${request.type} is made by request()`);
    const until = Date.now() + timeoutMs;
    for (;;) {
      await this.#untilAttached(until);
      try {
        return await this.#question(request);
      } catch (error) {
        if (!isPassing(error) || this.#isStopped) throw error;
        const wait = error.kind === "network" ? 0 : Math.max(error.retryMs, QUESTION_AGAIN_MS);
        if (Date.now() + wait >= until) throw error;
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  async history(chat, range = {}) {
    const page = await this.ask({ type: "history", chat: chatOf(chat, this.user), ...range });
    for (const message of page.messages) {
      // A request that is found there has happened.
      if (message.from === this.user && message.id) this.#outbox.settle({ chat: page.chat, ...message });
    }
    return page;
  }

  members(chat, range = {}) {
    return this.ask({ type: "members", chat: chatOf(chat, this.user), ...range });
  }

  presence(users, watch = false) {
    return this.ask({ type: "presence", users, watch });
  }

  async refresh(token) {
    await this.ask({ type: "refresh", token });
  }

  #question(request) {
    return this.#connection.ask({ ...request, id: randomId() });
  }

  #untilAttached(until) {
    const { phase, error } = this.#connection;
    if (this.#connection.isAttached) return undefined;
    if (phase === "ended") throw error ?? new FastChatError("stopped", "the client is stopped");
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject };
      this.#attached.add(waiter);
      waiter.timer = setTimeout(() => {
        this.#attached.delete(waiter);
        reject(this.#connection.error ?? new FastChatError("timed-out", "there is no connection"));
      }, until - Date.now());
    });
  }

  // MARK: Reading, typing

  /** Said as soon as there is a connection, the highest wins. */
  read(chat, seq) {
    this.#reads.set(chat, Math.max(seq, this.#reads.get(chat) ?? 0));
    this.#sayReads();
  }

  #sayReads() {
    if (this.#reads.size === 0) return;
    this.#readTimer ||= setTimeout(() => {
      this.#readTimer = 0;
      if (this.#connection.phase !== "live") return;
      for (const [chat, seq] of this.#reads) this.#connection.send({ type: "read", chat, seq });
      this.#reads.clear();
    }, READ_MS);
  }

  typing(chat, on) {
    if (this.#connection.phase === "live") this.#connection.send({ type: "typing", chat, on });
  }

  // MARK: What the connection says

  #hello(token) {
    const frame = { type: "hello", user: this.user, device: this.device };
    if (token) frame.token = token;
    if (this.#log !== null) frame.log = this.#log;
    frame.cursors = this.#chats.cursors();
    return frame;
  }

  #frame(frame) {
    switch (frame.type) {
      case "welcome":
        return this.#welcomed(frame);
      case "live":
        this.#outbox.pumpAll();
        this.#sayReads();
        return void this.#list();
      case "message":
      case "edited":
      case "deleted":
      case "member":
        return this.#chats.logged(frame);
      case "reset":
        return this.#chats.reset(frame);
      case "read":
      case "typing":
      case "presence":
        return this.#hand(frame);
      default:
      // A word of a newer server, or an answer to nobody.
    }
  }

  #welcomed(frame) {
    this.#clockAhead = frame.time - Date.now();
    this.#outbox.frameBytes = frame.limits.frame;
    this.#outbox.dedupeMs = frame.limits.dedupe;
    if (this.#log !== frame.log) {
      if (this.#log !== null) this.#otherLog();
      this.#log = frame.log;
    }
    this.#journal.device();
    this.#rows(frame, true);
    for (const { resolve, timer } of this.#attached) {
      clearTimeout(timer);
      resolve();
    }
    this.#attached.clear();
  }

  /** The server's data was deleted: nothing that was known counts, and what may have been sent is looked for. */
  #otherLog() {
    this.#chats.forgetAll();
    this.#hand({ type: "other-log" });
    this.#outbox.doubtAll();
  }

  #rows({ chats, more }, isWelcome) {
    for (const row of chats) this.#chats.listed(row, isWelcome);
    this.#listedUpTo = more && chats.length > 0 ? chats.at(-1).chat : null;
    if (this.#listedUpTo === null) {
      const wasReturning = this.#chats.isReturning;
      this.#chats.listIsComplete();
      if (!wasReturning) this.#journal.device();
    }
    this.#hand({ type: "chats", chats, complete: this.#listedUpTo === null });
  }

  /** The rest of the list of chats. */
  async #list() {
    try {
      while (this.#listedUpTo !== null) {
        this.#rows(await this.#question({ type: "chats", after: this.#listedUpTo, limit: PAGE }), false);
      }
    } catch (error) {
      // With the next connection it begins anew.
      if (error.kind === "network") return;
      setTimeout(() => this.#connection.phase === "live" && this.#list(), Math.max(error.retryMs, QUESTION_AGAIN_MS));
    }
  }

  #lost() {
    this.#outbox.lost();
    this.#chats.lost();
  }

  #stateChanged() {
    const { phase, error } = this.#connection;
    if (phase === "ended") {
      const reason = error ?? new FastChatError("stopped", "the client is stopped");
      for (const waiter of this.#attached) {
        clearTimeout(waiter.timer);
        waiter.reject(reason);
      }
      this.#attached.clear();
    }
    this.#hand({ type: "state", ...this.state });
  }

  // MARK: The application

  /** What it throws is its own fault: it is told to whoever watches the page, and the next event comes. */
  #hand(event) {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      (globalThis.reportError ?? console.error)(error);
    }
  }

  /** Of this moment: what comes while it is written must not get into it. */
  #row(id) {
    const chat = this.#chats.get(id);
    if (!chat) return null;
    const kept = structuredClone(this.#options.keep?.(id) ?? null);
    return { chat: id, cursor: chat.cursor, own: [...chat.own], kept };
  }
}

/** The server that served the page. */
function defaultURL() {
  const { protocol, host } = globalThis.location ?? { protocol: "http:", host: "127.0.0.1:8080" };
  return `${protocol === "https:" ? "wss" : "ws"}://${host}/ws`;
}
