#pragma once

// The floor under the server: the least C that a correct WebSocket peer needs, over the same kernel calls.
// What the server costs above it is the price of its design. It serves a benchmark on loopback: messages
// in one frame, no limits but memory.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONNECTIONS_MAX = 20000, RECEIVE_BYTES = 64 * 1024 };

/// A growing run of bytes.
struct bytes {
  uint8_t *start;
  size_t count, capacity;
};

void bytes_append(struct bytes *to, const void *from, size_t count);
void bytes_drop_first(struct bytes *from, size_t count);

struct connection {
  int descriptor;
  bool is_open, is_upgraded, is_dirty;
  /// A send is with the kernel (io_uring), or the socket takes no more (epoll).
  bool is_sending;
  /// The beginning of a request or frame whose end did not come yet.
  struct bytes in;
  /// What waits to be written, and what is being written (io_uring).
  struct bytes out, sending;
};

/// By descriptor, which Linux hands out densely.
extern struct connection connections[CONNECTIONS_MAX];

/// Connections with output that the turn has not written yet.
extern int dirty[CONNECTIONS_MAX];
extern int dirty_count;

void connection_open(int descriptor);
/// Forgets it; the backend closes the descriptor.
void connection_close(struct connection *connection);
/// Takes what was received; false: close it. Answers are appended to `out` and the connections marked dirty.
bool connection_receive(struct connection *connection, uint8_t *bytes, size_t count);

/// Tells errno's words after `what`, and ends the program.
void fail(const char *what);

void run_epoll(int listener);
void run_uring(int listener);
