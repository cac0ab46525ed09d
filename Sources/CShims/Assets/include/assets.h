#pragma once
#include <stddef.h>

// The files of Web/, inside the binary: what a server serves is what it was built with.

typedef struct {
  // As a request names it, ended by a zero byte.
  const char *_Nonnull path;
  // For `Content-Type`, ended by a zero byte.
  const char *_Nonnull type;
  // Not ended by a zero byte.
  const unsigned char *_Nonnull bytes;
  size_t count;
} asset;

/// The file that is served at a path, or null. The pointer is valid for ever.
const asset *_Nullable assets_find(const void *_Nonnull path, size_t count);
