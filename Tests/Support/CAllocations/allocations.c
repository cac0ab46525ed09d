#define _GNU_SOURCE
#include "allocations.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

static __thread unsigned long long allocations, frees, retains, releases;

unsigned long long fc_allocations(void) { return allocations; }
unsigned long long fc_frees(void) { return frees; }
unsigned long long fc_retains(void) { return retains; }
unsigned long long fc_releases(void) { return releases; }

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
  allocations++;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  allocations++;
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  allocations++;
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  allocations++;
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
  if (memory != NULL) frees++;
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
  retains++;
  if (real_retain == NULL) find();
  return real_retain(object);
}

void *swift_retain_n(void *object, uint32_t count) {
  retains += count;
  if (real_retain_n == NULL) find();
  return real_retain_n(object, count);
}

void swift_release(void *object) {
  releases++;
  if (real_release == NULL) find();
  real_release(object);
}

void swift_release_n(void *object, uint32_t count) {
  releases += count;
  if (real_release_n == NULL) find();
  real_release_n(object, count);
}

#endif
