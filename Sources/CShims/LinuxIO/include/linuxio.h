#pragma once

// What the event loop needs of Linux and Swift's Glibc module does not bring: io_uring, epoll, eventfd,
// GNU-only calls, macros that the importer cannot read.

#include <features.h>  // before liburing.h: else fd_set is defined twice beside other C modules

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// GNU-only functions: Swift's importer does not see _GNU_SOURCE.

/// accept4(2), without the peer's address. The new descriptor does not block and is closed on exec.
int linuxio_accept(int listener);
/// Bytes that the peer of a TCP connection has confirmed (TCP_INFO; glibc's own struct ends before it).
/// 0 for another kind of socket.
uint64_t linuxio_bytes_confirmed(int socket);
/// pthread_setname_np(3) of the calling thread; at most 15 bytes are kept.
int linuxio_name_thread(const char *name);
/// Binds the calling thread to one processor; an errno or 0.
int linuxio_bind_thread(unsigned processor);
/// Processors that this process may run on.
int linuxio_processors(void);
/// Opens a new file for writing that has no name in its directory, and is gone when it is closed, however
/// the process ends (O_TMPFILE). A descriptor, or -1 and errno.
int linuxio_open_unnamed(const char *directory);
/// Whether the kernel was told that its clock is kept right (adjtimex(2)); -1: it does not say.
int linuxio_clock_synchronised(void);

// Macros and enumerators that are not imported as the type they are used as.

static const unsigned char linuxio_sqe_buffer_select = IOSQE_BUFFER_SELECT;
static const unsigned char linuxio_sqe_skip_success = IOSQE_CQE_SKIP_SUCCESS;
static const uint32_t linuxio_epoll_in = EPOLLIN;
static const uint32_t linuxio_epoll_out = EPOLLOUT;
static const uint32_t linuxio_epoll_error = EPOLLERR;
static const uint32_t linuxio_epoll_hangup = EPOLLHUP;
static const uint32_t linuxio_epoll_edge = EPOLLET;
static const int linuxio_stream_socket = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
static const int linuxio_accept_flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
static const int linuxio_eventfd_flags = EFD_CLOEXEC | EFD_NONBLOCK;

/// A completion, copied out of the ring.
struct linuxio_completion {
  uint64_t tag;
  int32_t result;
  uint32_t flags;
};

/// Copies up to `limit` completions out of the ring and gives their entries back to the kernel
/// (`io_uring_for_each_cqe` is a macro).
static inline unsigned linuxio_collect(
    struct io_uring *ring, struct linuxio_completion *into, unsigned limit) {
  unsigned head, count = 0;
  struct io_uring_cqe *cqe;
  io_uring_for_each_cqe(ring, head, cqe) {
    if (count == limit) break;
    into[count].tag = cqe->user_data;
    into[count].result = cqe->res;
    into[count].flags = cqe->flags;
    count++;
  }
  io_uring_cq_advance(ring, count);
  return count;
}
