#define _GNU_SOURCE
#include "commandline.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

enum { FLAGS_MAX = 128 };

void commandline_begin(void) {
  // Zero, not one: glibc then also forgets how far it was within a word.
  optind = 0;
  opterr = 0;
}

commandline_result commandline_next(
  int count, char *const *words, const char *const *names, const bool *needs_value, int flags) {
  commandline_result result = {COMMANDLINE_END, -1, optind, NULL};
  if (flags > FLAGS_MAX) __builtin_trap();
  struct option table[FLAGS_MAX + 1];
  memset(table, 0, sizeof table);
  for (int i = 0; i < flags; i += 1) {
    table[i].name = names[i];
    table[i].has_arg = needs_value[i] ? required_argument : optional_argument;
  }

  // `+` stops at the first word that is not a flag, `:` tells a missing value from an unknown flag.
  int index = -1;
  int code = getopt_long(count, words, "+:", table, &index);
  result.next = optind;
  if (code == -1) return result;
  if (code == 0 && index >= 0) {
    result.kind = COMMANDLINE_FLAG;
    result.flag = index;
    result.value = optarg;
    return result;
  }
  result.kind = code == ':' ? COMMANDLINE_MISSING_VALUE : COMMANDLINE_UNKNOWN;
  return result;
}
