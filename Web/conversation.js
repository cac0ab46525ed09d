// The open chat: its messages with time and ticks, the past when one scrolls up, the composer.

import {
  KeyedList, avatar, byId, clockTime, dayName, icon, linked, make, sameDay, showAvatar, wholeTime,
} from "./elements.js";
import { bodyText } from "./timeline.js";
import { BODY_BYTES } from "./model.js";

/** Messages of one user closer than this stand together, in milliseconds. */
const TOGETHER_MS = 5 * 60_000;
/** How near to an edge counts as being there, in pixels. */
const BOTTOM_PX = 48;
const TOP_PX = 320;
/** How often typing is said again, and after how long without a key it is over, in milliseconds. */
const TYPING_AGAIN_MS = 3_000;
const TYPING_OVER_MS = 4_000;
/** How long after a chat was opened its messages are taken for what was there, in milliseconds. */
const SETTLED_MS = 1_500;

export class Conversation {
  chat = null;

  #model;
  /** The line "New" stands above the first message of others beyond this seq. */
  #newAbove = 0;
  #typingSaid = 0;
  #typingTimer = 0;
  #scroll = byId("scroll");
  #list = new KeyedList(byId("messages"));
  #text = byId("text");
  #pinned = true;
  /** Whether the chat has been open long enough to be what somebody listens to. */
  #isSettled = false;
  #settleTimer = 0;

  constructor(model, { leave, showMembers }) {
    this.#model = model;
    const signal = (this.ended = new AbortController()).signal;
    const on = (element, type, action) => element.addEventListener(type, action, { signal, passive: false });
    on(this.#scroll, "scroll", () => this.#scrolled());
    on(this.#text, "input", () => this.#typed());
    on(this.#text, "keydown", (event) => this.#key(event));
    on(byId("composer"), "submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    on(byId("to-newest"), "click", () => this.#toNewest());
    on(byId("leave"), "click", () => leave(this.chat));
    on(byId("members"), "click", () => showMembers(this.chat));
    on(window, "focus", () => this.#markRead());
    on(document, "visibilitychange", () => this.#markRead());
    on(window, "resize", () => this.#pinned && this.#toNewest());
  }

  /** Shows a chat, or none. */
  open(chat) {
    if (this.chat && this.#typingSaid) this.#stopTyping();
    this.chat = this.#model.current = chat;
    this.#list.clear();
    byId("nothing").hidden = Boolean(chat);
    byId("open").hidden = !chat;
    if (!chat) return;
    if (chat.isRoom) this.#model.countMembers(chat);
    this.#newAbove = chat.read;
    this.#pinned = true;
    this.#isSettled = false;
    clearTimeout(this.#settleTimer);
    this.#settleTimer = setTimeout(() => (this.#isSettled = true), SETTLED_MS);
    this.#text.value = chat.draft;
    this.#fit();
    showAvatar(byId("chat-avatar"), chat.title, chat.isRoom);
    byId("chat-title").textContent = chat.title;
    byId("leave").hidden = byId("members").hidden = !chat.isRoom;
    this.render();
    this.#toNewest();
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }

  // MARK: Showing

  render() {
    const { chat } = this;
    if (!chat) return;
    this.#subtitle();
    byId("past").textContent = this.#model.isLoading(chat)
      ? "Loading…"
      : chat.atStart && chat.lastMessage ? "This is where it began." : "";
    const anchor = this.#pinned ? null : this.#anchor();
    // What is new is read aloud; the past, and a chat that was just opened, is there to be walked through.
    byId("messages").setAttribute("aria-live", this.#pinned && this.#isSettled ? "polite" : "off");
    this.#list.show(this.#rows());
    if (this.#pinned) this.#scroll.scrollTop = this.#scroll.scrollHeight;
    else if (anchor) this.#scroll.scrollTop += anchor.node.getBoundingClientRect().top - anchor.top;
    this.#markRead();
    this.#newest();
    if (this.#scroll.scrollTop < TOP_PX) this.#older();
  }

  #subtitle() {
    const { chat } = this;
    const now = Date.now();
    const typing = [...chat.typing].filter(([user, until]) => until > now && user !== chat.me).map(([user]) => user);
    let text = chat.isRoom ? membersWords(chat.members) : "Direct chat";
    if (!chat.isRoom && chat.title === chat.me) text = "Notes to yourself";
    if (typing.length > 0) {
      const others = typing.length > 2 ? `${typing.length} people` : typing.join(" and ");
      text = chat.isRoom ? `${others} ${typing.length > 1 ? "are" : "is"} typing…` : "typing…";
    }
    const element = byId("chat-subtitle");
    if (element.textContent !== text) element.textContent = text;
    element.classList.toggle("typing", typing.length > 0);
  }

  /** What is to be seen, top to bottom: `{key, signature, make}`. */
  #rows() {
    const { chat } = this;
    const rows = [];
    const now = Date.now();
    let last = null;
    let marked = false;
    const put = (key, signature, build) => rows.push({ key, signature: JSON.stringify(signature), build });
    let shown = 0;
    const day = (time) => {
      if (shown > 0 && sameDay(shown, time)) return;
      shown = time;
      const name = dayName(time, now);
      put(`day ${new Date(time).toDateString()}`, name, () => make("li", { className: "day" }, make("span", {}, name)));
      last = null;
    };
    for (const event of chat.events) {
      day(event.time ?? (shown || now));
      if (!marked && event.type === "message" && this.#newAbove > 0 && event.seq > this.#newAbove && event.from !== chat.me) {
        marked = true;
        put("new", "", () => make("li", { className: "day new" }, make("span", {}, "New")));
        last = null;
      }
      if (event.type === "member") {
        const line = memberLine(event);
        put(`s${event.seq}`, line, () => make("li", { className: "event" }, line));
        last = null;
        continue;
      }
      const own = event.from === chat.me;
      const together = last?.from === event.from && event.time - last.time < TOGETHER_MS;
      const tick = !own ? null : event.seq <= chat.readByOthers ? "read" : "stored";
      const view = { ...event, own, together, tick, named: chat.isRoom && !own };
      put(own && event.id ? `i${event.id}` : `s${event.seq}`, view, () => this.#message(view));
      last = event;
    }
    for (const request of this.#model.unsent(chat)) {
      day(request.created);
      const together = last?.from === chat.me && request.created - last.time < TOGETHER_MS;
      const view = {
        id: request.id, body: request.body, time: request.created, from: chat.me, own: true, together,
        tick: request.reason ? "refused" : "sending", refused: request.reason,
      };
      put(`i${request.id}`, view, () => this.#message(view, request));
      last = view;
    }
    return rows;
  }

  #message(view, request) {
    const item = make("li", { className: "message" });
    item.classList.toggle("own", view.own);
    item.classList.toggle("together", view.together);
    if (view.seq) item.dataset.seq = view.seq;
    if (view.id) item.dataset.id = view.id;
    item.dataset.from = view.from;
    if (view.tick) item.dataset.tick = view.tick;
    if (view.named) item.append(view.together ? make("span", { className: "avatar none" }) : avatar(view.from));
    const bubble = make("div", { className: "bubble" });
    if (view.named && !view.together) bubble.append(make("span", { className: "author" }, view.from));
    if (view.deleted) bubble.append(make("p", { className: "text gone" }, "Message deleted"));
    else bubble.append(make("p", { className: "text", dir: "auto" }, ...linked(bodyText(view.body))));
    const time = make("time", { title: wholeTime(view.time) }, clockTime(view.time));
    time.dateTime = new Date(view.time).toISOString();
    bubble.append(make("span", { className: "meta" }, view.edited ? "edited " : null, time, tickIcon(view.tick)));
    item.append(make("span", { className: "unseen" }, `${view.own ? "You" : view.from}: `), bubble);
    if (request?.reason) item.append(this.#refusal(request));
    return item;
  }

  #refusal(request) {
    const again = make("button", { type: "button" }, "Send again");
    const discard = make("button", { type: "button" }, "Discard");
    again.onclick = () => this.#model.sendAgain(this.chat, request);
    discard.onclick = () => this.#model.discard(this.chat, request);
    return make("div", { className: "refusal" }, `Not sent. ${request.reason} `, again, discard);
  }

  // MARK: Scrolling and the past

  get #atBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight < BOTTOM_PX;
  }

  /** The first message in sight: it stays where it is while others come in above it. */
  #anchor() {
    const { top } = this.#scroll.getBoundingClientRect();
    for (const node of byId("messages").children) {
      const box = node.getBoundingClientRect();
      if (box.bottom > top) return { node, top: box.top };
    }
    return null;
  }

  #scrolled() {
    this.#pinned = this.#atBottom;
    if (this.#scroll.scrollTop < TOP_PX) this.#older();
    this.#markRead();
    this.#newest();
  }

  #older() {
    const { chat } = this;
    if (chat.head > 0 || chat.listed) this.#model.loadOlder(chat);
  }

  #toNewest() {
    this.#pinned = true;
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
    this.#markRead();
    this.#newest();
  }

  #newest() {
    const { count } = this.chat.unread;
    byId("to-newest").hidden = this.#pinned;
    byId("to-newest-count").hidden = count === 0;
    byId("to-newest-count").textContent = count;
  }

  /** Read is what somebody who looks at the page has on the screen. */
  #markRead() {
    const { chat } = this;
    if (!chat || !this.#pinned || document.visibilityState !== "visible" || !document.hasFocus()) return;
    const last = chat.events.at(-1);
    if (last && last.seq > chat.read && chat.unread.count > 0) this.#model.markRead(chat, last.seq);
  }

  // MARK: Writing

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.#text.value.trim();
    if (text === "" || !this.chat || this.#tooLong(text)) return;
    this.#stopTyping();
    this.#text.value = "";
    this.#newAbove = 0;
    this.#model.setDraft(this.chat, "");
    this.#fit();
    this.#pinned = true;
    this.#model.send(this.chat, { text });
    this.focus();
  }

  #tooLong(text) {
    return new TextEncoder().encode(JSON.stringify({ text })).length > BODY_BYTES;
  }

  #typed() {
    this.#model.setDraft(this.chat, this.#text.value);
    this.#fit();
    clearTimeout(this.#typingTimer);
    if (this.#text.value.trim() === "") return this.#stopTyping();
    const now = Date.now();
    if (now - this.#typingSaid > TYPING_AGAIN_MS) {
      this.#typingSaid = now;
      this.#model.typing(this.chat, true);
    }
    this.#typingTimer = setTimeout(() => this.#stopTyping(), TYPING_OVER_MS);
  }

  #stopTyping() {
    clearTimeout(this.#typingTimer);
    if (this.#typingSaid) this.#model.typing(this.chat, false);
    this.#typingSaid = 0;
  }

  /** The composer is as high as its text, up to what the style allows. */
  #fit() {
    const pinned = this.#pinned;
    const text = this.#text.value;
    this.#text.style.height = "auto";
    const border = this.#text.offsetHeight - this.#text.clientHeight;
    this.#text.style.height = `${this.#text.scrollHeight + border}px`;
    const tooLong = this.#tooLong(text.trim());
    byId("composer-note").hidden = !tooLong;
    byId("composer-note").textContent = tooLong ? "This is too long for one message." : "";
    byId("send").disabled = tooLong || text.trim() === "";
    if (pinned) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }
}

function membersWords(members) {
  if (!members) return "Room";
  if (members.more) return `More than ${members.count} members`;
  return members.count === 1 ? "Only you" : `${members.count} members`;
}

function memberLine(event) {
  const other = event.by && event.by !== event.user ? ` by ${event.by}` : "";
  if (event.role === null) return other ? `${event.user} was removed${other}` : `${event.user} left`;
  if (event.role === "owner") return `${event.user} made this room`;
  return other ? `${event.user} was added${other}` : `${event.user} joined`;
}

function tickIcon(tick) {
  switch (tick) {
    case "sending":
      return icon("clock", "Sending");
    case "stored":
      return icon("check", "Stored");
    case "read":
      return icon("checks", "Read");
    case "refused":
      return icon("alert", "Not sent");
    default:
      return null;
  }
}
