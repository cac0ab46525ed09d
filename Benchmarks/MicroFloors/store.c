#include "microfloors.h"

#include <sqlite3.h>
#include <stdlib.h>

struct floor_store {
  sqlite3 *database;
  sqlite3_stmt *begin, *insert, *head, *commit;
  int64_t seq;
};

static void run(sqlite3_stmt *statement) {
  if (sqlite3_step(statement) != SQLITE_DONE) abort();
  sqlite3_reset(statement);
}

struct floor_store *floor_store_open(const char *path) {
  struct floor_store *store = calloc(1, sizeof *store);
  if (!store || sqlite3_open(path, &store->database) != SQLITE_OK) return NULL;
  int failed = sqlite3_exec(
      store->database,
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
      "CREATE TABLE log(seq INTEGER PRIMARY KEY, prev INTEGER NOT NULL, value BLOB NOT NULL);"
      "CREATE TABLE heads(chat INTEGER PRIMARY KEY, head INTEGER NOT NULL);",
      NULL, NULL, NULL);
  failed |= sqlite3_prepare_v2(store->database, "BEGIN IMMEDIATE", -1, &store->begin, NULL);
  failed |= sqlite3_prepare_v2(store->database, "INSERT INTO log VALUES(?1, ?2, ?3)", -1, &store->insert, NULL);
  failed |= sqlite3_prepare_v2(
      store->database, "INSERT INTO heads VALUES(?1, ?2) ON CONFLICT(chat) DO UPDATE SET head = excluded.head", -1,
      &store->head, NULL);
  failed |= sqlite3_prepare_v2(store->database, "COMMIT", -1, &store->commit, NULL);
  return failed ? NULL : store;
}

void floor_store_commit(struct floor_store *store, int records, int chats, const uint8_t *value, int size) {
  run(store->begin);
  for (int i = 0; i < records; i++) {
    store->seq++;
    sqlite3_bind_int64(store->insert, 1, store->seq);
    sqlite3_bind_int64(store->insert, 2, store->seq > chats ? store->seq - chats : 0);
    sqlite3_bind_blob(store->insert, 3, value, size, SQLITE_STATIC);
    run(store->insert);
  }
  for (int i = 0; i < records && i < chats; i++) {
    sqlite3_bind_int64(store->head, 1, (store->seq - i) % chats);
    sqlite3_bind_int64(store->head, 2, store->seq - i);
    run(store->head);
  }
  run(store->commit);
}

void floor_store_close(struct floor_store *store) {
  sqlite3_finalize(store->begin);
  sqlite3_finalize(store->insert);
  sqlite3_finalize(store->head);
  sqlite3_finalize(store->commit);
  sqlite3_close(store->database);
  free(store);
}
