#pragma once
#include <stdbool.h>

// getopt_long, without what Swift cannot see of it: `struct option` with its pointer to a flag, and the
// globals optarg, optind and opterr.

typedef enum {
  // The words are used up, or the next one is not a flag: `next` is its index.
  COMMANDLINE_END = 0,
  // A known flag: `flag` is its index, `value` its text or NULL.
  COMMANDLINE_FLAG = 1,
  // A known flag that needs a value and has none.
  COMMANDLINE_MISSING_VALUE = 2,
  // No flag of that name, or a short one.
  COMMANDLINE_UNKNOWN = 3,
} commandline_kind;

typedef struct {
  commandline_kind kind;
  int flag;
  int next;
  const char *value;
} commandline_result;

/// Begins again at the first of the words. The state is the process's own: one thread at a time.
void commandline_begin(void);

/// Reads the next flag of `words` (`words[0]` is the program's name, NULL ends them). Flag `i` is called
/// `names[i]`, and needs a value where `needs_value[i]`, else may have one behind an equals sign.
commandline_result commandline_next(
  int count, char *const *words, const char *const *names, const bool *needs_value, int flags);
