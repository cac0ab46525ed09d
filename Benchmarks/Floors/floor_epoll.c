#include "floor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 1024 };

static int poller;

static void interest(int operation, int descriptor, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = descriptor};
  epoll_ctl(poller, operation, descriptor, &event);
}

static void end(struct connection *connection) {
  connection_close(connection);
  close(connection->descriptor);
}

static void flush(struct connection *connection) {
  if (!connection->is_open || connection->out.count == 0) return;
  ssize_t sent = send(connection->descriptor, connection->out.start, connection->out.count, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return end(connection);
  if (sent > 0) bytes_drop_first(&connection->out, (size_t)sent);
  bool blocked = connection->out.count > 0;
  if (blocked != connection->is_sending)
    interest(EPOLL_CTL_MOD, connection->descriptor, EPOLLIN | (blocked ? EPOLLOUT : 0));
  connection->is_sending = blocked;
}

static void receive(struct connection *connection) {
  static uint8_t buffer[RECEIVE_BYTES];
  ssize_t count = recv(connection->descriptor, buffer, sizeof buffer, 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0 || !connection_receive(connection, buffer, (size_t)count)) end(connection);
}

static void accept_all(int listener) {
  int descriptor;
  while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    connection_open(descriptor);
    interest(EPOLL_CTL_ADD, descriptor, EPOLLIN);
  }
}

void run_epoll(int listener) {
  static struct epoll_event events[EVENTS_MAX];
  poller = epoll_create1(EPOLL_CLOEXEC);
  interest(EPOLL_CTL_ADD, listener, EPOLLIN);
  for (;;) {
    int count = epoll_wait(poller, events, EVENTS_MAX, -1);
    for (int i = 0; i < count; i++) {
      int descriptor = events[i].data.fd;
      if (descriptor == listener) {
        accept_all(listener);
        continue;
      }
      struct connection *connection = &connections[descriptor];
      if (connection->is_open && events[i].events & ~EPOLLOUT) receive(connection);
      if (connection->is_open && events[i].events & EPOLLOUT) flush(connection);
    }
    for (int i = 0; i < dirty_count; i++) {
      struct connection *connection = &connections[dirty[i]];
      connection->is_dirty = false;
      if (!connection->is_sending) flush(connection);
    }
    dirty_count = 0;
  }
}
