#pragma once

#include <stdbool.h>

/// Counts what the calling thread allocates and what reference counting it does, for tests that hold the
/// message path to none of either. Linking this target replaces the allocator's entry points of the program.

/// Calls of malloc and its kin by this thread since it began.
unsigned long long fc_allocations(void);
/// Calls of free by this thread.
unsigned long long fc_frees(void);
/// Swift retains and releases by this thread, from code of the program itself (the runtime's own inner
/// ones do not go through a symbol).
unsigned long long fc_retains(void);
unsigned long long fc_releases(void);
/// The same of another thread that is alive, by its kernel id: allocations, and retains and releases together.
/// 0 for one that never counted anything.
unsigned long long fc_allocations_of(int thread);
unsigned long long fc_references_of(int thread);
/// False under a sanitizer, which needs the allocator for itself: then all counts stay 0.
bool fc_counting_works(void);
