#define _GNU_SOURCE
#include "linuxio.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/timex.h>

int linuxio_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }

uint64_t linuxio_bytes_confirmed(int socket) {
  struct tcp_info info = {0};
  socklen_t length = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0;
  return info.tcpi_bytes_acked;
}

int linuxio_name_thread(const char *name) {
  char kept[16];
  unsigned i = 0;
  for (; i < 15 && name[i]; i++) kept[i] = name[i];
  kept[i] = 0;
  return pthread_setname_np(pthread_self(), kept);
}

int linuxio_bind_thread(unsigned processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int linuxio_processors(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int linuxio_open_unnamed(const char *directory) {
  return open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
}

int linuxio_clock_synchronised(void) {
  struct timex state = {0};
  if (adjtimex(&state) == -1) return -1;
  return (state.status & STA_UNSYNC) == 0;
}
