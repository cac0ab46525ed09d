#include "timer.h"

#include <sys/timerfd.h>
#include <time.h>

int timer_open(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC); }

static struct timespec from_nanoseconds(uint64_t nanoseconds) {
  return (struct timespec){.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
}

void timer_ring(int timer, uint64_t first, uint64_t interval) {
  struct itimerspec times = {.it_interval = from_nanoseconds(interval), .it_value = from_nanoseconds(first)};
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &times, 0);
}
