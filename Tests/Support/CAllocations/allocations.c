#define _GNU_SOURCE
#include "allocations.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

// Written by their thread alone, read by others: relaxed.
struct counts {
  atomic_ullong allocations, frees, retains, releases;
};

static __thread struct counts counts;
static __thread bool is_known;

// Threads by the order in which they first counted something; the last one of an id is the living one.
#define THREADS_MAX 4096
static struct {
  atomic_int id;
  struct counts *_Atomic counts;
} threads[THREADS_MAX];
static atomic_uint thread_count;

static void add(atomic_ullong *counter, unsigned long long count) {
  if (!is_known) {
    is_known = true;
    unsigned place = atomic_fetch_add(&thread_count, 1);
    if (place < THREADS_MAX) {
      atomic_store(&threads[place].counts, &counts);
      atomic_store(&threads[place].id, gettid());
    }
  }
  unsigned long long before = atomic_load_explicit(counter, memory_order_relaxed);
  atomic_store_explicit(counter, before + count, memory_order_relaxed);
}

static unsigned long long read_count(atomic_ullong *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

static struct counts *counts_of(int thread) {
  unsigned count = atomic_load(&thread_count);
  for (unsigned i = count < THREADS_MAX ? count : THREADS_MAX; i > 0; i--)
    if (atomic_load(&threads[i - 1].id) == thread) return atomic_load(&threads[i - 1].counts);
  return NULL;
}

unsigned long long fc_allocations(void) { return read_count(&counts.allocations); }
unsigned long long fc_frees(void) { return read_count(&counts.frees); }
unsigned long long fc_retains(void) { return read_count(&counts.retains); }
unsigned long long fc_releases(void) { return read_count(&counts.releases); }

unsigned long long fc_allocations_of(int thread) {
  struct counts *of = counts_of(thread);
  return of ? read_count(&of->allocations) : 0;
}

unsigned long long fc_references_of(int thread) {
  struct counts *of = counts_of(thread);
  return of ? read_count(&of->retains) + read_count(&of->releases) : 0;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED

bool fc_counting_works(void) { return false; }

#else

bool fc_counting_works(void) { return true; }

// The allocator under its inner names: glibc keeps them for those who wrap it.
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

void *malloc(size_t size) {
  add(&counts.allocations, 1);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  add(&counts.allocations, 1);
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  add(&counts.allocations, 1);
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  add(&counts.allocations, 1);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  void *result = memalign(alignment, size);
  if (result == NULL && size > 0) return ENOMEM;
  *memory = result;
  return 0;
}

void free(void *memory) {
  if (memory != NULL) add(&counts.frees, 1);
  __libc_free(memory);
}

// Reference counting: the runtime's functions, found behind ours.

static void *(*real_retain)(void *);
static void *(*real_retain_n)(void *, uint32_t);
static void (*real_release)(void *);
static void (*real_release_n)(void *, uint32_t);

__attribute__((constructor)) static void find(void) {
  real_retain = (void *(*)(void *))dlsym(RTLD_NEXT, "swift_retain");
  real_retain_n = (void *(*)(void *, uint32_t))dlsym(RTLD_NEXT, "swift_retain_n");
  real_release = (void (*)(void *))dlsym(RTLD_NEXT, "swift_release");
  real_release_n = (void (*)(void *, uint32_t))dlsym(RTLD_NEXT, "swift_release_n");
}

void *swift_retain(void *object) {
  add(&counts.retains, 1);
  if (real_retain == NULL) find();
  return real_retain(object);
}

void *swift_retain_n(void *object, uint32_t count) {
  add(&counts.retains, count);
  if (real_retain_n == NULL) find();
  return real_retain_n(object, count);
}

void swift_release(void *object) {
  add(&counts.releases, 1);
  if (real_release == NULL) find();
  real_release(object);
}

void swift_release_n(void *object, uint32_t count) {
  add(&counts.releases, count);
  if (real_release_n == NULL) find();
  real_release_n(object, count);
}

#endif
