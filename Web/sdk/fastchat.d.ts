/** FastChat for browsers. README.md beside this file says how to use it. */

/** A chat: `dm:<name>:<name>` (the two in byte order) or `room:<name>`. */
export type ChatID = string;
/** Anything that JSON can say. */
export type Body = null | boolean | number | string | Body[] | { [key: string]: Body };
export type Role = "member" | "admin" | "owner";

export type ErrorKind =
  /** No connection, or it broke; it is tried again by itself. */
  | "network"
  /** What answers there is no FastChat server. It is tried again: a network login may go away. */
  | "not-fastchat"
  /** A server that breaks the rules of the protocol. */
  | "broken-protocol"
  /** The user or the token is not accepted, or the token has expired. */
  | "unauthorized"
  /** A newer session of the same device has taken over. */
  | "replaced"
  /** The server wants us not to come back. */
  | "ended"
  /** A request was refused; `code` says how (PROTOCOL, "Errors"). */
  | "refused"
  | "too-large"
  | "timed-out"
  /** The browser keeps nothing, or has no room. */
  | "storage"
  | "stopped";

export class FastChatError extends Error {
  constructor(kind: ErrorKind, message: string, advice?: string, more?: { code?: string | null; retryMs?: number });
  readonly kind: ErrorKind;
  /** What to do about it; empty where nothing can be done. */
  readonly advice: string;
  /** The protocol's code of a `refused`, else null. */
  readonly code: string | null;
  /** When the server wants to be asked again, in milliseconds; 0 where it did not say. */
  readonly retryMs: number;
  /** Message and advice as sentences, for a line on a screen. */
  readonly text: string;
}

/** Everything below `seq` in its chat that this device is to have was handed over before it. */
interface Logged {
  chat: ChatID;
  seq: number;
  prev?: number;
  /** Milliseconds since 1970, the server's clock. */
  time: number;
}

export interface Message extends Logged {
  type: "message";
  from: string;
  id?: string;
  /** Absent where the message was deleted. */
  body?: Body;
  /** When it was last edited; in pages of history. */
  edited?: number;
  deleted?: true;
}

export interface Receipt {
  id: string;
  chat: ChatID;
  /** The place of a message, an edit or a deletion in its chat; null for changes of rooms and members. */
  seq: number | null;
  time: number | null;
}

export interface State {
  /** `catching-up`: welcome came, what was missed is on its way. `waiting`: until `retryAt`. `ended`: for good. */
  phase: "idle" | "connecting" | "catching-up" | "live" | "waiting" | "ended";
  /** Why it waits, has ended, or did not connect the last time. */
  error: FastChatError | null;
  /** Milliseconds since 1970. */
  retryAt: number;
  /** Why nothing is kept; null where all is. */
  storage: FastChatError | null;
}

export interface ChatRow {
  chat: ChatID;
  /** The seq of the last event. */
  head: number;
  /** Up to where this user has read. */
  read: number;
  cursor?: number;
}

/** What `onEvent` is handed. Those with a `seq` come once each, and in the order of their seq within a chat. */
export type ChatEvent =
  | Message
  | (Logged & { type: "edited"; of: number; from: string; body: Body })
  | (Logged & { type: "deleted"; of: number; from: string })
  /** `role` null: the user is no longer in. Where it is oneself, it is the last event of the chat. */
  | (Logged & { type: "member"; user: string; role: Role | null; by: string })
  /** A request of this device has happened, once; a message of its own comes in no other way. */
  | (Receipt & { type: "sent"; isMessage: boolean; request: Request & { id: string } })
  /** A request was refused for good, and is off the list: nothing refused is dropped silently. */
  | { type: "refused"; id: string; chat: ChatID; error: FastChatError; isMessage: boolean; created: number; request: Request & { id: string } }
  /** What lies between what was handed over and `head` is not replayed; it is there through `history`. */
  | { type: "reset"; chat: ChatID; head: number }
  /** A part of the list of chats; `complete` with the last one. */
  | { type: "chats"; chats: ChatRow[]; complete: boolean }
  /** The user is no longer in a chat, and its last events are not to be had. */
  | { type: "left"; chat: ChatID }
  /** The server's data was deleted: nothing that was handed over before is there any more. */
  | { type: "other-log" }
  | { type: "read"; chat: ChatID; user: string; seq: number }
  | { type: "typing"; chat: ChatID; user: string; on: boolean }
  | { type: "presence"; user: string; online: boolean; since: number }
  | ({ type: "state" } & State)
  /** The browser refused to keep something, or (null) does so again. What is unsent is sent all the same. */
  | { type: "storage"; error: FastChatError | null };

/** Requests that count: each keeps its id until it is settled, over broken connections and reloads. */
export type Request =
  | { type: "send"; to: string; body: Body }
  | { type: "edit"; chat: ChatID; seq: number; body: Body }
  | { type: "delete"; chat: ChatID; seq: number }
  | { type: "create"; chat: ChatID; name: string; public: boolean }
  | { type: "join" | "leave"; chat: ChatID }
  | { type: "invite"; chat: ChatID; user: string; role: Role }
  | { type: "remove"; chat: ChatID; user: string };

export interface Sent {
  id: string;
  chat: ChatID;
  /** Settled when the request is; rejects with a `FastChatError` where it is refused. It may be ignored. */
  done: Promise<Receipt>;
}

export interface Options<Kept = unknown> {
  /** `ws://` or `wss://`, ending in `/ws`; the server of the page where it is absent. */
  url?: string;
  user: string;
  /** A token, or where to get one. The function is asked again with the reason when one was refused. */
  token?: string | ((refused: FastChatError | null) => string | Promise<string>);
  /** `claimDevice(user)` where it is absent. */
  storage?: ClientStorage;
  /** Called synchronously; what it throws is reported, and the event counts as handed over. */
  onEvent?: (event: ChatEvent) => void;
  /**
   * What the application makes of a chat, to be kept with the chat's cursor in one write: after a reload
   * `kept()` and the events that follow fit together. Anything that can be cloned.
   */
  keep?: (chat: ChatID) => Kept | undefined;
  /** Times in milliseconds; `TIMES` in connection.js. For tests. */
  times?: Partial<Record<"backOffFirst" | "backOffMax" | "open" | "welcome" | "pong" | "answer" | "diagnosis" | "watch" | "save", number>>;
}

export class ChatClient<Kept = unknown> {
  /** Takes up what the device keeps. Nothing is sent before `start()`. */
  static open<Kept>(options: Options<Kept>): Promise<ChatClient<Kept>>;

  readonly user: string;
  readonly device: string;
  readonly state: State;
  /** Milliseconds since 1970. */
  readonly serverNow: number;

  start(): void;
  /** Tries now, where it waits; asks whether the connection still stands, where it is live. */
  hurry(): void;
  /** Ends it and writes what is to be kept: the next client of the device goes on with it. */
  stop(): Promise<void>;
  /** Ends it, and forgets all that the device keeps, what is unsent too. */
  signOut(): Promise<void>;
  /** Writes what is to be kept. */
  flush(): Promise<void>;

  /** What `keep` gave for each chat when it was last written. */
  kept(): { chat: ChatID; cursor: number | null; kept: Kept }[];
  /** Says that `keep` has something new for a chat. */
  save(chat: ChatID): void;
  /** What is not settled yet, of a chat or of all, in the order in which it was made. */
  pending(chat?: ChatID): { id: string; chat: ChatID; request: Request & { id: string }; created: number }[];

  /** Sends a message to a chat or to `user:<name>`. It is stored first, and leaves when there is a connection. */
  send(to: string, body: Body): Sent;
  request(request: Request): Sent;

  /** Asks; over a broken connection once more, until the time is over. */
  ask(request: { type: string; [field: string]: unknown }, options?: { timeoutMs?: number }): Promise<any>;
  history(chat: ChatID, range?: { before?: number; after?: number; limit?: number }): Promise<{ chat: ChatID; messages: Omit<Message, "type" | "chat">[]; more: boolean }>;
  members(chat: ChatID, range?: { after?: string; limit?: number }): Promise<{ members: { user: string; role: Role }[]; more: boolean }>;
  presence(users: string[], watch?: boolean): Promise<{ users: { user: string; online: boolean; since: number }[] }>;
  /** Replaces the session's token before it expires. */
  refresh(token: string): Promise<void>;

  /** Up to where the user has read; said when there is a connection, the highest wins. */
  read(chat: ChatID, seq: number): void;
  /** Said only where there is a connection. */
  typing(chat: ChatID, on: boolean): void;
}

/** What a device keeps, and how it is written. */
export interface ClientStorage {
  readonly device: string;
  /** Why it is not the storage that was wanted. */
  readonly error?: FastChatError | null;
  load(): Promise<{ device: object | null; chats: object[]; requests: object[] } | null>;
  /** All of it or nothing, and kept when it resolves. */
  write(changes: { device?: object; chats: object[]; forgotten: ChatID[]; added: object[]; settled: string[] }): Promise<void>;
  erase?(): Promise<void>;
  release?(): void;
}

/** A device in IndexedDB. */
export class BrowserStorage implements ClientStorage {
  constructor(user: string, device: string, release: () => void);
  readonly user: string;
  readonly device: string;
  load: ClientStorage["load"];
  write: ClientStorage["write"];
  erase(): Promise<void>;
  release(): void;
}

/** A device that ends with the page. */
export class MemoryStorage implements ClientStorage {
  constructor(device?: string, error?: FastChatError | null);
  readonly device: string;
  readonly error: FastChatError | null;
  load: ClientStorage["load"];
  write: ClientStorage["write"];
  erase(): Promise<void>;
  release(): void;
}

/**
 * The storage of the device that this tab is for `user`: its own, a closed window's, or a new one. Where the
 * browser forbids storage it is a `MemoryStorage` whose `error` says so.
 */
export function claimDevice(user: string, options?: { except?: string | null }): Promise<BrowserStorage | MemoryStorage>;
/** The devices that this browser knows, the latest first. */
export function knownDevices(): Promise<{ user: string; device: string; saved: number; pending: number }[]>;

export function isName(name: string): boolean;
export function directChat(me: string, other: string): ChatID;
/** The other user of a direct chat, or null for a room. */
export function peerOf(chat: ChatID, me: string): string | null;
/** The chat that `to` names; throws a `TypeError` where it names none. */
export function chatOf(to: string, me: string): ChatID;
