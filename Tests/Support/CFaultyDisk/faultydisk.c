#include "faultydisk.h"
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

// The real file follows this one in memory.
typedef struct {
  sqlite3_file base;
  int watched;
} layer;

static sqlite3_vfs *below;
static sqlite3_vfs above;
static char armed_path[512];
static atomic_int armed;
static atomic_int strikes;

static sqlite3_file *real(sqlite3_file *file) { return (sqlite3_file *)((layer *)file + 1); }

static int strikes_now(const char *path, int fault) {
  int hit = (atomic_load(&armed) & fault) && path && strncmp(path, armed_path, strlen(armed_path)) == 0;
  if (hit) atomic_fetch_add(&strikes, 1);
  return hit;
}

static int file_strikes(sqlite3_file *file, int fault) {
  int hit = ((layer *)file)->watched && (atomic_load(&armed) & fault);
  if (hit) atomic_fetch_add(&strikes, 1);
  return hit;
}

static int f_close(sqlite3_file *f) { return real(f)->pMethods->xClose(real(f)); }
static int f_read(sqlite3_file *f, void *p, int n, sqlite3_int64 o) {
  return real(f)->pMethods->xRead(real(f), p, n, o);
}
static int f_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 o) {
  if (file_strikes(f, faultydisk_writes_find_no_room)) return SQLITE_FULL;
  return real(f)->pMethods->xWrite(real(f), p, n, o);
}
static int f_truncate(sqlite3_file *f, sqlite3_int64 n) { return real(f)->pMethods->xTruncate(real(f), n); }
static int f_sync(sqlite3_file *f, int flags) {
  if (file_strikes(f, faultydisk_syncs_fail)) return SQLITE_IOERR_FSYNC;
  return real(f)->pMethods->xSync(real(f), flags);
}
static int f_size(sqlite3_file *f, sqlite3_int64 *n) { return real(f)->pMethods->xFileSize(real(f), n); }
static int f_lock(sqlite3_file *f, int l) { return real(f)->pMethods->xLock(real(f), l); }
static int f_unlock(sqlite3_file *f, int l) { return real(f)->pMethods->xUnlock(real(f), l); }
static int f_reserved(sqlite3_file *f, int *out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); }
static int f_control(sqlite3_file *f, int op, void *p) { return real(f)->pMethods->xFileControl(real(f), op, p); }
static int f_sector(sqlite3_file *f) { return real(f)->pMethods->xSectorSize(real(f)); }
static int f_device(sqlite3_file *f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); }
static int f_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **p) {
  return real(f)->pMethods->xShmMap(real(f), page, size, extend, p);
}
static int f_shm_lock(sqlite3_file *f, int o, int n, int flags) {
  return real(f)->pMethods->xShmLock(real(f), o, n, flags);
}
static void f_shm_barrier(sqlite3_file *f) { real(f)->pMethods->xShmBarrier(real(f)); }
static int f_shm_unmap(sqlite3_file *f, int del) { return real(f)->pMethods->xShmUnmap(real(f), del); }

// Version 2: no memory mapping, which would go past this layer.
static const sqlite3_io_methods methods = {
    2,      f_close,  f_read,     f_write,   f_truncate, f_sync,   f_size,      f_lock,     f_unlock,
    f_reserved, f_control, f_sector, f_device, f_shm_map, f_shm_lock, f_shm_barrier, f_shm_unmap, 0, 0,
};

static int v_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
  (void)vfs;
  layer *l = (layer *)file;
  l->base.pMethods = 0;
  if (strikes_now(name, faultydisk_opens_fail)) return SQLITE_CANTOPEN;
  l->watched = name && strncmp(name, armed_path, strlen(armed_path)) == 0;
  int result = below->xOpen(below, name, real(file), flags, out);
  if (real(file)->pMethods) l->base.pMethods = &methods;
  return result;
}

int faultydisk_install(void) {
  if (below) return 0;
  below = sqlite3_vfs_find(0);
  above = *below;
  above.zName = "faultydisk";
  above.szOsFile = (int)sizeof(layer) + below->szOsFile;
  above.xOpen = v_open;
  return sqlite3_vfs_register(&above, 1);
}

void faultydisk_arm(const char *path, int faults) {
  atomic_store(&armed, 0);
  strncpy(armed_path, path, sizeof armed_path - 1);
  atomic_store(&strikes, 0);
  atomic_store(&armed, faults);
}

int faultydisk_strikes(void) { return atomic_load(&strikes); }
