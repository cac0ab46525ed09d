// Timers of the kernel that are waited for like a socket; Swift's Glibc leaves their header out.
#pragma once

#include <sys/timerfd.h>
