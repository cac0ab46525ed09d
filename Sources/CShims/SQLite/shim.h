#include <sqlite3.h>

// A macro that casts -1 to a function pointer, which Swift does not import.
static inline sqlite3_destructor_type fc_sqlite_transient(void) { return SQLITE_TRANSIENT; }
