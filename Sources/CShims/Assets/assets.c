#include "assets.h"

// #embed is C23 (clang has had it since 19); a .incbin would be invisible to the build's dependencies.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char index_html[] = {
#embed "../../../Web/index.html"
};

asset assets_index_html(void) { return (asset){index_html, sizeof index_html}; }
