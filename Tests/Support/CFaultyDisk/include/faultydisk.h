// A disk that fails when told to: a layer above SQLite's own files, for all of a process.
#ifndef FAULTYDISK_H
#define FAULTYDISK_H

// What fails from now on, for files whose path begins with the armed one.
enum faultydisk_fault {
  faultydisk_none = 0,
  faultydisk_writes_find_no_room = 1,
  faultydisk_syncs_fail = 2,
  faultydisk_opens_fail = 4,
};

// Puts the layer below every connection that is opened later; 0 if SQLite took it.
int faultydisk_install(void);
// `faults` are or-ed; the path is copied.
void faultydisk_arm(const char *path, int faults);
// How often a fault struck since the last arming.
int faultydisk_strikes(void);

#endif
