// Timers of the kernel that are waited for like a socket. Their own header is not imported: its times would be
// this module's for every file beside it.
#pragma once

#include <stdint.h>

/// A timer on the monotonic clock that does not block and is closed on exec; a descriptor, or -1 and errno.
int timer_open(void);
/// Rings at `first`, a monotonic time, and each `interval` after it, both in nanoseconds.
void timer_ring(int timer, uint64_t first, uint64_t interval);
