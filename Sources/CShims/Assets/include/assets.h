#pragma once
#include <stddef.h>

// The files of Web/, inside the binary: what a server serves is what it was built with.

typedef struct {
  // Not ended by a zero byte.
  const unsigned char *_Nonnull bytes;
  size_t count;
} asset;

/// Web/index.html: the page at `/`.
asset assets_index_html(void);
