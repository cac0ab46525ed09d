// Devices in one page, each with the account of what it was told: for each chat `handed`, the seqs of events, and
// `sent`, `[seq, number]` of its own. The account is kept by the SDK beside the cursor, so that a page that is
// gone at any moment leaves both of one moment.

const TIMES = { backOffFirst: 5, backOffMax: 50, save: 20, watch: 200, diagnosis: 500 };

class Device {
  faults = [];
  lives = 0;
  accounts = new Map();

  constructor(user, name) {
    this.user = user;
    this.name = name;
  }

  async open({ BrowserStorage, ChatClient }) {
    const storage = new BrowserStorage(this.user, this.name, () => {});
    this.client = await ChatClient.open({
      user: this.user, storage, times: TIMES,
      keep: (chat) => this.accounts.get(chat), onEvent: (event) => this.take(event),
    });
    for (const { chat, kept } of this.client.kept()) this.accounts.set(chat, kept);
    this.client.start();
  }

  account(chat) {
    if (!this.accounts.has(chat)) this.accounts.set(chat, { handed: [], sent: [] });
    return this.accounts.get(chat);
  }

  take(event) {
    switch (event.type) {
      case "message": {
        const { handed } = this.account(event.chat);
        if (handed.at(-1) >= event.seq) this.faults.push(`${event.seq} after ${handed.at(-1)} in ${event.chat}`);
        handed.push(event.seq);
        break;
      }
      case "sent":
        this.account(event.chat).sent.push([event.seq, event.request.body.number]);
        break;
      case "refused":
      case "storage":
        if (event.error) this.faults.push(`${event.type}: ${event.error.text}`);
        break;
      case "reset":
      case "other-log":
        this.faults.push(event.type);
        break;
      case "state":
        if (event.phase === "live") this.lives += 1;
        if (event.phase === "ended") this.faults.push(`ended: ${event.error?.text}`);
        break;
    }
  }

  /** Sends the numbers from `from` up to `to`, in turn to each of `targets`; resolves when all are kept. */
  send(from, to, targets) {
    for (let number = from; number < to; number++) this.client.send(targets[number % targets.length], { number });
    return this.client.flush();
  }

  get told() {
    return [...this.accounts.values()].reduce((sum, { handed, sent }) => sum + handed.length + sent.length, 0);
  }
}

window.begin = async (devices) => {
  const sdk = await import("/sdk/fastchat.js");
  window.devices = devices.map(([user, name]) => new Device(user, name));
  for (const device of window.devices) await device.open(sdk);
};
window.pending = () => window.devices.map((device) => device.client.pending().length);
window.report = () =>
  window.devices.map(({ user, name, faults, lives, accounts }) => ({ user, name, faults, lives, accounts: Object.fromEntries(accounts) }));
