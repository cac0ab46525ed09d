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
static const unsigned char conversation_js[] = {
#embed "../../../Web/conversation.js"
};
static const unsigned char elements_js[] = {
#embed "../../../Web/elements.js"
};
static const unsigned char model_js[] = {
#embed "../../../Web/model.js"
};
static const unsigned char timeline_js[] = {
#embed "../../../Web/timeline.js"
};
static const unsigned char sdk_README_md[] = {
#embed "../../../Web/sdk/README.md"
};
static const unsigned char sdk_chats_js[] = {
#embed "../../../Web/sdk/chats.js"
};
static const unsigned char sdk_client_js[] = {
#embed "../../../Web/sdk/client.js"
};
static const unsigned char sdk_connection_js[] = {
#embed "../../../Web/sdk/connection.js"
};
static const unsigned char sdk_diagnosis_js[] = {
#embed "../../../Web/sdk/diagnosis.js"
};
static const unsigned char sdk_errors_js[] = {
#embed "../../../Web/sdk/errors.js"
};
static const unsigned char sdk_fastchat_d_ts[] = {
#embed "../../../Web/sdk/fastchat.d.ts"
};
static const unsigned char sdk_fastchat_js[] = {
#embed "../../../Web/sdk/fastchat.js"
};
static const unsigned char sdk_frames_js[] = {
#embed "../../../Web/sdk/frames.js"
};
static const unsigned char sdk_journal_js[] = {
#embed "../../../Web/sdk/journal.js"
};
static const unsigned char sdk_names_js[] = {
#embed "../../../Web/sdk/names.js"
};
static const unsigned char sdk_outbox_js[] = {
#embed "../../../Web/sdk/outbox.js"
};
static const unsigned char sdk_storage_js[] = {
#embed "../../../Web/sdk/storage.js"
};

#define SCRIPT "text/javascript; charset=utf-8"

static const asset assets[] = {
    {"/", "text/html; charset=utf-8", index_html, sizeof index_html},
    {"/app.css", "text/css; charset=utf-8", app_css, sizeof app_css},
    {"/app.js", SCRIPT, app_js, sizeof app_js},
    {"/conversation.js", SCRIPT, conversation_js, sizeof conversation_js},
    {"/elements.js", SCRIPT, elements_js, sizeof elements_js},
    {"/model.js", SCRIPT, model_js, sizeof model_js},
    {"/timeline.js", SCRIPT, timeline_js, sizeof timeline_js},
    {"/sdk/README.md", "text/markdown; charset=utf-8", sdk_README_md, sizeof sdk_README_md},
    {"/sdk/chats.js", SCRIPT, sdk_chats_js, sizeof sdk_chats_js},
    {"/sdk/client.js", SCRIPT, sdk_client_js, sizeof sdk_client_js},
    {"/sdk/connection.js", SCRIPT, sdk_connection_js, sizeof sdk_connection_js},
    {"/sdk/diagnosis.js", SCRIPT, sdk_diagnosis_js, sizeof sdk_diagnosis_js},
    {"/sdk/errors.js", SCRIPT, sdk_errors_js, sizeof sdk_errors_js},
    {"/sdk/fastchat.d.ts", "text/plain; charset=utf-8", sdk_fastchat_d_ts, sizeof sdk_fastchat_d_ts},
    {"/sdk/fastchat.js", SCRIPT, sdk_fastchat_js, sizeof sdk_fastchat_js},
    {"/sdk/frames.js", SCRIPT, sdk_frames_js, sizeof sdk_frames_js},
    {"/sdk/journal.js", SCRIPT, sdk_journal_js, sizeof sdk_journal_js},
    {"/sdk/names.js", SCRIPT, sdk_names_js, sizeof sdk_names_js},
    {"/sdk/outbox.js", SCRIPT, sdk_outbox_js, sizeof sdk_outbox_js},
    {"/sdk/storage.js", SCRIPT, sdk_storage_js, sizeof sdk_storage_js},
};

const asset *assets_find(const void *path, size_t count) {
  for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
    if (strlen(assets[i].path) == count && memcmp(assets[i].path, path, count) == 0) return &assets[i];
  }
  return NULL;
}
