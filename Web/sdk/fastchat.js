// FastChat for browsers: import { ChatClient } from "/sdk/fastchat.js". README.md says how to use it,
// fastchat.d.ts what each part is.

export { ChatClient } from "./client.js";
export { FastChatError } from "./errors.js";
export { chatOf, directChat, isName, peerOf } from "./names.js";
export { BrowserStorage, MemoryStorage, claimDevice, knownDevices } from "./storage.js";
