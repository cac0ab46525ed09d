#include <sqlite3.h>

// A variadic function, which Swift does not import: a connection that is closed leaves its log as it is.
static inline int fc_sqlite_no_checkpoint_on_close(sqlite3 *db) {
  return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}
