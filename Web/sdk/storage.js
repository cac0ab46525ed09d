// What a device keeps: its cursors with what the application makes of them, and what it has not sent yet.
//
// A device is one tab, not one browser. Its cursors say what *this* page was handed, and the server ends the
// older of two sessions of one device (4504): two windows that shared a device would throw each other out for
// ever. So the device's name stands in sessionStorage, which belongs to the tab and outlives a reload, and
// what the device keeps stands in IndexedDB, which outlives the tab, and a browser that dies.
//
// Two things remain, and a Web Lock held while the page lives answers both. A duplicated tab starts with a
// copy of its parent's sessionStorage: it finds the lock taken and becomes another device. And what a closed
// window had not sent yet must not be forgotten: a new window takes up a device of the same user whose lock is
// free, before it makes a new one. Where there are no locks (plain HTTP from elsewhere than this machine) a
// tab keeps to its own name.

import { storageError } from "./journal.js";
import { randomId } from "./names.js";

const DATABASE = "fastchat";
const VERSION = 1;
const SESSION_KEY = "fastchat-device";
/** How long a reload waits for the lock of the page that it replaces, in milliseconds. */
const LOCK_WAIT_MS = 1_500;
/** A device that was not used for longer and has nothing to send is forgotten, in milliseconds. */
const FORGOTTEN_AFTER_MS = 30 * 24 * 3600 * 1000;
/** How many closed windows of one user are tried before a new device is made. */
const ORPHANS_MAX = 8;
/** How long a database may take to open, in milliseconds, before the page goes on without it. */
const OPEN_MS = 5_000;

const answer = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const finished = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new DOMException("aborted", "AbortError"));
  });

let database = null;

/** The one connection of this page; opened again where the browser closed it. */
function open() {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, VERSION);
    setTimeout(() => reject(new DOMException("the database does not open", "TimeoutError")), OPEN_MS);
    request.onerror = () => reject(request.error);
    request.onupgradeneeded = () => {
      // Keys begin with user and device, so that a device's rows stand together.
      request.result.createObjectStore("devices");
      request.result.createObjectStore("chats");
      request.result.createObjectStore("requests");
    };
    request.onsuccess = () => {
      const { result } = request;
      result.onversionchange = () => result.close();
      result.onclose = () => (database = null);
      resolve(result);
    };
  });
  database.catch(() => (database = null));
  return database;
}

/** All rows of one device in a store. */
const rowsOf = (base) => IDBKeyRange.bound(base, [...base, []]);

/** What one device keeps in IndexedDB. */
export class BrowserStorage {
  #base;
  #release;

  constructor(user, device, release) {
    this.user = user;
    this.device = device;
    this.#base = [user, device];
    this.#release = release;
  }

  async load() {
    const transaction = (await open()).transaction(["devices", "chats", "requests"]);
    const [device, chats, requests] = await Promise.all([
      answer(transaction.objectStore("devices").get(this.#base)),
      answer(transaction.objectStore("chats").getAll(rowsOf(this.#base))),
      answer(transaction.objectStore("requests").getAll(rowsOf(this.#base))),
    ]);
    return { device: device ?? null, chats, requests: requests.sort((a, b) => a.number - b.number) };
  }

  /** All of it or nothing, and on the disk when it resolves. */
  async write({ device, chats, forgotten, added, settled }) {
    const base = this.#base;
    const transaction = (await open()).transaction(["devices", "chats", "requests"], "readwrite");
    const done = finished(transaction);
    const store = (name) => transaction.objectStore(name);
    try {
      if (device) store("devices").put({ ...device, user: this.user, device: this.device, saved: Date.now() }, base);
      for (const chat of chats) store("chats").put(chat, [...base, chat.chat]);
      for (const chat of forgotten) store("chats").delete([...base, chat]);
      for (const request of added) store("requests").put(request, [...base, request.id]);
      for (const id of settled) store("requests").delete([...base, id]);
      transaction.commit?.();
    } catch (error) {
      done.catch(() => {});
      transaction.abort();
      throw error;
    }
    return done;
  }

  /** Signing out: nothing of the device stays in the browser. */
  async erase() {
    await eraseDevice(this.#base);
    this.release();
  }

  release() {
    this.#release();
    this.#release = () => {};
  }
}

async function eraseDevice(base) {
  const transaction = (await open()).transaction(["devices", "chats", "requests"], "readwrite");
  const done = finished(transaction);
  transaction.objectStore("devices").delete(base);
  transaction.objectStore("chats").delete(rowsOf(base));
  transaction.objectStore("requests").delete(rowsOf(base));
  return done;
}

/** For tests, and where the browser forbids all else: it ends with the page. */
export class MemoryStorage {
  #device = null;
  #chats = new Map();
  #requests = new Map();

  /** `error` says why it is not the browser's storage, where that is not wanted so. */
  constructor(device = randomId(), error = null) {
    this.device = device;
    this.error = error;
  }

  async load() {
    const requests = [...this.#requests.values()].sort((a, b) => a.number - b.number);
    return structuredClone({ device: this.#device, chats: [...this.#chats.values()], requests });
  }

  async write({ device, chats, forgotten, added, settled }) {
    if (device) this.#device = structuredClone(device);
    for (const chat of chats) this.#chats.set(chat.chat, structuredClone(chat));
    for (const chat of forgotten) this.#chats.delete(chat);
    for (const request of added) this.#requests.set(request.id, structuredClone(request));
    for (const id of settled) this.#requests.delete(id);
  }

  async erase() {
    this.#device = null;
    this.#chats.clear();
    this.#requests.clear();
  }

  release() {}
}

// MARK: Which device

/** Takes the lock of a device; resolves to a function that gives it back, or null if another page has it. */
function lock(user, device, waitMs) {
  return new Promise((resolve) => {
    const options = waitMs > 0 ? { signal: AbortSignal.timeout(waitMs) } : { ifAvailable: true };
    navigator.locks
      .request(`fastchat/${user}/${device}`, options, (held) => {
        if (!held) return resolve(null);
        return new Promise((release) => resolve(release));
      })
      .catch(() => resolve(null));
  });
}

/** The devices that this browser knows, the latest first; `pending` is how many requests each has. */
export async function knownDevices() {
  const transaction = (await open()).transaction(["devices", "requests"]);
  const [devices, requests] = await Promise.all([
    answer(transaction.objectStore("devices").getAll()), answer(transaction.objectStore("requests").getAllKeys()),
  ]);
  for (const entry of devices) {
    entry.pending = requests.filter(([user, device]) => user === entry.user && device === entry.device).length;
  }
  return devices.sort((a, b) => b.saved - a.saved);
}

/** What this tab remembers of who it is: a device's name for a user. */
function tabDevice(user) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(SESSION_KEY));
    return kept?.user === user ? kept.device : null;
  } catch {
    return null;
  }
}

function rememberDevice(user, device) {
  try {
    sessionStorage.setItem(SESSION_KEY, JSON.stringify({ user, device }));
  } catch {
    // A reload is another device, then; nothing is lost with that.
  }
}

/**
 * The storage of the device that this tab is for `user`: its own, a closed window's, or a new one; never
 * `except`. Where the browser forbids storage it is one in memory, whose `error` says so.
 */
export async function claimDevice(user, { except = null } = {}) {
  const storage = await claim(user, except);
  rememberDevice(user, storage.device);
  return storage;
}

async function claim(user, except) {
  const remembered = tabDevice(user);
  const own = remembered === except ? null : remembered;
  let known = [];
  try {
    known = await knownDevices();
  } catch (error) {
    return new MemoryStorage(own && !navigator.locks ? own : randomId(), storageError(error));
  }
  prune(known);
  if (!navigator.locks) return new BrowserStorage(user, own ?? randomId(), () => {});
  if (own) {
    const release = await lock(user, own, LOCK_WAIT_MS);
    if (release) return new BrowserStorage(user, own, release);
  }
  const orphans = known.filter((entry) => entry.user === user && entry.device !== own && entry.device !== except);
  for (const { device } of orphans.slice(0, ORPHANS_MAX)) {
    const release = await lock(user, device, 0);
    if (release) return new BrowserStorage(user, device, release);
  }
  const device = randomId();
  return new BrowserStorage(user, device, (await lock(user, device, 0)) ?? (() => {}));
}

/** Forgets devices that nobody came back to. */
function prune(devices) {
  for (const { user, device, saved, pending } of devices) {
    if (pending > 0 || Date.now() - saved < FORGOTTEN_AFTER_MS) continue;
    eraseDevice([user, device]).catch(() => {});
  }
}
