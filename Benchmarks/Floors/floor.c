#include "floor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

struct connection connections[CONNECTIONS_MAX];
int dirty[CONNECTIONS_MAX];
int dirty_count;

enum { ACK_BYTES = 80 };

// What is done with a message.
static enum { ECHO, FANOUT, RELAY } mode;
// The highest descriptor that was ever a connection.
static int highest;
// The descriptor of the connection that was made to path "/<place>": whom a relayed message is for.
static int places[CONNECTIONS_MAX];

void fail(const char *what) {
  perror(what);
  exit(1);
}

// MARK: Bytes

void bytes_append(struct bytes *to, const void *from, size_t count) {
  if (to->capacity - to->count < count) {
    to->capacity = (to->count + count) * 2;
    to->start = realloc(to->start, to->capacity);
    if (!to->start) fail("realloc");
  }
  memcpy(to->start + to->count, from, count);
  to->count += count;
}

void bytes_drop_first(struct bytes *from, size_t count) {
  from->count -= count;
  if (from->count > 0) memmove(from->start, from->start + count, from->count);
}

// MARK: Connections

void connection_open(int descriptor) {
  if (descriptor >= CONNECTIONS_MAX) fail("too many connections");
  struct connection *connection = &connections[descriptor];
  bool was_dirty = connection->is_dirty;
  connection->descriptor = descriptor;
  connection->is_open = true;
  connection->is_upgraded = false;
  connection->is_dirty = was_dirty;
  connection->is_sending = false;
  connection->in.count = connection->out.count = connection->sending.count = 0;
  if (descriptor > highest) highest = descriptor;
}

void connection_close(struct connection *connection) {
  connection->is_open = connection->is_upgraded = false;
  connection->in.count = connection->out.count = 0;
}

static void mark(struct connection *connection) {
  if (connection->is_dirty) return;
  connection->is_dirty = true;
  dirty[dirty_count++] = connection->descriptor;
}

// MARK: Handshake

static bool upgrade(struct connection *connection, const uint8_t *head, size_t count) {
  static const char name[] = "\r\nsec-websocket-key:";
  static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const uint8_t *key = NULL;
  for (size_t i = 0; i + sizeof name + 24 < count && !key; i++) {
    if (strncasecmp((const char *)head + i, name, sizeof name - 1) == 0) key = head + i + sizeof name - 1;
  }
  if (!key) return false;
  while (*key == ' ') key++;
  uint8_t joined[60], digest[20], accept[32];
  memcpy(joined, key, 24);
  memcpy(joined + 24, guid, 36);
  SHA1(joined, sizeof joined, digest);
  EVP_EncodeBlock(accept, digest, sizeof digest);
  char answer[256];
  int length = snprintf(
      answer, sizeof answer,
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: %s\r\n\r\n",
      (char *)accept);
  bytes_append(&connection->out, answer, (size_t)length);
  mark(connection);
  connection->is_upgraded = true;
  int place = count > 5 ? atoi((const char *)head + 5) : 0;
  if (place >= 0 && place < CONNECTIONS_MAX) places[place] = connection->descriptor;
  return true;
}

// MARK: Frames

static void append_frame(
    struct connection *to, uint8_t first, const uint8_t *payload, size_t count) {
  uint8_t header[10] = {first};
  size_t size = 2;
  if (count < 126) {
    header[1] = (uint8_t)count;
  } else if (count <= 0xFFFF) {
    header[1] = 126;
    header[2] = (uint8_t)(count >> 8);
    header[3] = (uint8_t)count;
    size = 4;
  } else {
    header[1] = 127;
    for (int i = 0; i < 8; i++) header[2 + i] = (uint8_t)(count >> (56 - 8 * i));
    size = 10;
  }
  bytes_append(&to->out, header, size);
  bytes_append(&to->out, payload, count);
  mark(to);
}

static void answer(struct connection *connection, uint8_t first, uint8_t *payload, size_t count) {
  switch (mode) {
    case ECHO: append_frame(connection, first, payload, count); break;
    case FANOUT:
      for (int i = 0; i <= highest; i++) {
        if (connections[i].is_upgraded && i != connection->descriptor)
          append_frame(&connections[i], first, payload, count);
      }
      break;
    case RELAY: {
      // The message goes to the place in its first four bytes, its first 80 bytes back to the sender: the
      // traffic of a direct message and its acknowledgement, without a chat behind it.
      uint32_t to;
      if (count < ACK_BYTES) return;
      memcpy(&to, payload, 4);
      append_frame(connection, first, payload, ACK_BYTES);
      if (to < CONNECTIONS_MAX && connections[places[to]].is_upgraded)
        append_frame(&connections[places[to]], first, payload, count);
    }
  }
}

static void unmask(uint8_t *payload, size_t count, uint32_t key) {
  uint64_t pattern = (uint64_t)key << 32 | key, word;
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    memcpy(&word, payload + i, 8);
    word ^= pattern;
    memcpy(payload + i, &word, 8);
  }
  for (; i < count; i++) payload[i] ^= ((uint8_t *)&key)[i & 3];
}

/// Answers the whole frames at the front; how many bytes they were, or -1.
static ptrdiff_t take_frames(struct connection *connection, uint8_t *bytes, size_t count) {
  size_t at = 0;
  while (count - at >= 6) {
    uint8_t *frame = bytes + at;
    size_t length = frame[1] & 0x7F, header = 2;
    if (!(frame[1] & 0x80) || !(frame[0] & 0x80)) return -1;
    if (length == 126) {
      length = (size_t)frame[2] << 8 | frame[3];
      header = 4;
    } else if (length == 127) {
      if (count - at < 10) break;
      length = 0;
      for (int i = 0; i < 8; i++) length = length << 8 | frame[2 + i];
      header = 10;
    }
    if (length > (16 << 20)) return -1;
    if (count - at < header + 4 + length) break;
    uint32_t key;
    memcpy(&key, frame + header, 4);
    uint8_t *payload = frame + header + 4;
    unmask(payload, length, key);
    switch (frame[0] & 0x0F) {
      case 1:
      case 2: answer(connection, frame[0], payload, length); break;
      case 8: return -1;
      case 9: append_frame(connection, 0x8A, payload, length); break;
      case 10: break;
      default: return -1;
    }
    at += header + 4 + length;
  }
  return (ptrdiff_t)at;
}

static ptrdiff_t take(struct connection *connection, uint8_t *bytes, size_t count) {
  size_t start = 0;
  if (!connection->is_upgraded) {
    uint8_t *end = memmem(bytes, count, "\r\n\r\n", 4);
    if (!end) return count < 8192 ? 0 : -1;
    start = (size_t)(end + 4 - bytes);
    if (!upgrade(connection, bytes, start)) return -1;
  }
  ptrdiff_t taken = take_frames(connection, bytes + start, count - start);
  return taken < 0 ? -1 : (ptrdiff_t)start + taken;
}

bool connection_receive(struct connection *connection, uint8_t *bytes, size_t count) {
  if (connection->in.count > 0) {
    bytes_append(&connection->in, bytes, count);
    ptrdiff_t taken = take(connection, connection->in.start, connection->in.count);
    if (taken > 0) bytes_drop_first(&connection->in, (size_t)taken);
    return taken >= 0;
  }
  ptrdiff_t taken = take(connection, bytes, count);
  if (taken < 0) return false;
  if ((size_t)taken < count) bytes_append(&connection->in, bytes + taken, count - (size_t)taken);
  return true;
}

// MARK: The program

static int listen_on(uint16_t port) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0
      || setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0
      || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0
      || getsockname(listener, (struct sockaddr *)&address, &length) < 0)
    fail("listen");
  printf("ready ws=127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return listener;
}

int main(int count, char **words) {
  if (count != 4) {
    fprintf(stderr, "usage: floor echo|fanout|relay epoll|io_uring PORT\n");
    return 2;
  }
  mode = strcmp(words[1], "echo") == 0 ? ECHO : strcmp(words[1], "fanout") == 0 ? FANOUT : RELAY;
  int listener = listen_on((uint16_t)atoi(words[3]));
  if (strcmp(words[2], "epoll") == 0) {
    run_epoll(listener);
  } else {
    run_uring(listener);
  }
}
