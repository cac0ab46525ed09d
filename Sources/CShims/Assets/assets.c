#include "assets.h"

#include <string.h>

// #embed is C23 (clang has had it since 19); a .incbin would be invisible to the build's dependencies.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char index_html[] = {
#embed "../../../Web/index.html"
};
static const unsigned char app_css[] = {
#embed "../../../Web/app.css"
};
static const unsigned char app_js[] = {
#embed "../../../Web/app.js"
};
static const unsigned char client_js[] = {
#embed "../../../Web/client.js"
};
static const unsigned char connection_js[] = {
#embed "../../../Web/connection.js"
};
static const unsigned char conversation_js[] = {
#embed "../../../Web/conversation.js"
};
static const unsigned char elements_js[] = {
#embed "../../../Web/elements.js"
};
static const unsigned char outbox_js[] = {
#embed "../../../Web/outbox.js"
};
static const unsigned char storage_js[] = {
#embed "../../../Web/storage.js"
};
static const unsigned char timeline_js[] = {
#embed "../../../Web/timeline.js"
};

#define SCRIPT "text/javascript; charset=utf-8"

static const asset assets[] = {
    {"/", "text/html; charset=utf-8", index_html, sizeof index_html},
    {"/app.css", "text/css; charset=utf-8", app_css, sizeof app_css},
    {"/app.js", SCRIPT, app_js, sizeof app_js},
    {"/client.js", SCRIPT, client_js, sizeof client_js},
    {"/connection.js", SCRIPT, connection_js, sizeof connection_js},
    {"/conversation.js", SCRIPT, conversation_js, sizeof conversation_js},
    {"/elements.js", SCRIPT, elements_js, sizeof elements_js},
    {"/outbox.js", SCRIPT, outbox_js, sizeof outbox_js},
    {"/storage.js", SCRIPT, storage_js, sizeof storage_js},
    {"/timeline.js", SCRIPT, timeline_js, sizeof timeline_js},
};

const asset *assets_find(const void *path, size_t count) {
  for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
    if (strlen(assets[i].path) == count && memcmp(assets[i].path, path, count) == 0) return &assets[i];
  }
  return NULL;
}
