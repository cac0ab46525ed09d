#pragma once
#include <stdbool.h>

// A line editor on the terminal that is standard input and output: libedit's character-at-a-time mode, whose
// calls are variadic and so unseen by Swift. One at a time, used by one thread.

typedef enum {
  // What was typed so far is no whole line.
  EDIT_MORE = 0,
  // A line is whole.
  EDIT_LINE = 1,
  // Ctrl-D on an empty line, or the terminal is gone.
  EDIT_END = 2,
} edit_result;

/// Takes the terminal over and shows the prompt; false where it cannot.
bool edit_open(const char *prompt);

/// Gives the terminal back as it was. Harmless where it is not open.
void edit_close(void);

/// Another prompt; shown with the next `edit_show`.
void edit_set_prompt(const char *prompt);

/// Takes one key, which must be there. `line` is valid until the next call, without its end.
edit_result edit_read(const char **line);

/// Takes prompt and input off the screen, so that something can be written in their place.
void edit_hide(void);

/// Shows them again, at the beginning of a row.
void edit_show(void);

/// The window has another size.
void edit_resize(void);
