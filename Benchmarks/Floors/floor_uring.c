#include "floor.h"

#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

enum { ENTRIES = 256, COMPLETIONS = 16384, BUFFERS = 1024, BUFFER_BYTES = 8192 };
enum operation { ACCEPT, RECEIVE, SEND };

static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static uint8_t *buffers;

static struct io_uring_sqe *next_entry(void) {
  struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
  if (!entry) {
    io_uring_submit(&ring);
    entry = io_uring_get_sqe(&ring);
  }
  if (!entry) fail("submission queue");
  return entry;
}

/// After the entry is prepared: preparing it wipes the tag.
static void tag(struct io_uring_sqe *entry, enum operation operation, int descriptor) {
  io_uring_sqe_set_data64(entry, (uint64_t)operation << 32 | (uint32_t)descriptor);
}

static void arm_receive(int descriptor) {
  struct io_uring_sqe *receive = next_entry();
  io_uring_prep_recv_multishot(receive, descriptor, NULL, 0, 0);
  receive->flags |= IOSQE_BUFFER_SELECT;
  receive->buf_group = 0;
  tag(receive, RECEIVE, descriptor);
}

static void flush(struct connection *connection) {
  if (!connection->is_open || connection->is_sending) return;
  if (connection->sending.count == 0) {
    struct bytes empty = connection->sending;
    connection->sending = connection->out;
    connection->out = empty;
  }
  if (connection->sending.count == 0) return;
  struct io_uring_sqe *send = next_entry();
  io_uring_prep_send(
      send, connection->descriptor, connection->sending.start, connection->sending.count, MSG_NOSIGNAL);
  tag(send, SEND, connection->descriptor);
  connection->is_sending = true;
}

static void end(struct connection *connection) {
  connection_close(connection);
  shutdown(connection->descriptor, SHUT_RDWR);
}

static void give_back(int buffer) {
  io_uring_buf_ring_add(
      buffer_ring, buffers + buffer * BUFFER_BYTES, BUFFER_BYTES, (unsigned short)buffer,
      io_uring_buf_ring_mask(BUFFERS), 0);
  io_uring_buf_ring_advance(buffer_ring, 1);
}

static void received(int descriptor, int result, unsigned flags) {
  struct connection *connection = &connections[descriptor];
  if (result > 0) {
    int buffer = (int)(flags >> IORING_CQE_BUFFER_SHIFT);
    if (connection->is_open
        && !connection_receive(connection, buffers + buffer * BUFFER_BYTES, (size_t)result))
      end(connection);
    give_back(buffer);
  }
  if (flags & IORING_CQE_F_MORE) return;
  if (connection->is_open && (result > 0 || result == -ENOBUFS)) return arm_receive(descriptor);
  // The end: nothing of it is with the kernel but perhaps a send, which the shutdown fails.
  connection_close(connection);
  close(descriptor);
}

static void sent(int descriptor, int result) {
  struct connection *connection = &connections[descriptor];
  connection->is_sending = false;
  if (!connection->is_open || result <= 0) return;
  bytes_drop_first(&connection->sending, (size_t)result);
  flush(connection);
}

static void set_up(int listener) {
  struct io_uring_params parameters = {
      .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
      .cq_entries = COMPLETIONS};
  if (io_uring_queue_init_params(ENTRIES, &ring, &parameters) < 0) fail("io_uring_setup");
  io_uring_register_ring_fd(&ring);
  void *memory = NULL;
  if (posix_memalign(&memory, 4096, BUFFERS * sizeof(struct io_uring_buf)) != 0) fail("memory");
  buffer_ring = memory;
  buffers = malloc((size_t)BUFFERS * BUFFER_BYTES);
  struct io_uring_buf_reg registration = {.ring_addr = (uint64_t)memory, .ring_entries = BUFFERS};
  if (io_uring_register_buf_ring(&ring, &registration, 0) < 0) fail("buffer ring");
  io_uring_buf_ring_init(buffer_ring);
  for (int i = 0; i < BUFFERS; i++) give_back(i);
  struct io_uring_sqe *accept = next_entry();
  io_uring_prep_multishot_accept(accept, listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  tag(accept, ACCEPT, listener);
}

void run_uring(int listener) {
  set_up(listener);
  for (;;) {
    io_uring_submit_and_wait(&ring, 1);
    struct io_uring_cqe *completion;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring, head, completion) {
      int descriptor = (int)(uint32_t)completion->user_data;
      count++;
      switch ((enum operation)(completion->user_data >> 32)) {
        case ACCEPT:
          if (completion->res < 0) fail("accept");
          connection_open(completion->res);
          arm_receive(completion->res);
          break;
        case RECEIVE: received(descriptor, completion->res, completion->flags); break;
        case SEND: sent(descriptor, completion->res);
      }
    }
    io_uring_cq_advance(&ring, count);
    for (int i = 0; i < dirty_count; i++) {
      connections[dirty[i]].is_dirty = false;
      flush(&connections[dirty[i]]);
    }
    dirty_count = 0;
  }
}
