#define _GNU_SOURCE
#include "edit.h"

#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum { PROMPT_MAX = 256, LINE_MAX_BYTES = 65536, HISTORY_LINES = 500, COLUMNS_UNKNOWN = 80, CONTROL_D = 4 };

static EditLine *editor;
static History *history_list;
static char prompt_text[PROMPT_MAX];
static char line_text[LINE_MAX_BYTES];

static char *prompt_of(EditLine *unused) {
  (void)unused;
  return prompt_text;
}

void edit_set_prompt(const char *prompt) { snprintf(prompt_text, sizeof prompt_text, "%s", prompt); }

bool edit_open(const char *prompt) {
  setlocale(LC_CTYPE, "");
  edit_set_prompt(prompt);
  editor = el_init("fastchat", stdin, stdout, stderr);
  if (editor == NULL) return false;
  HistEvent event;
  history_list = history_init();
  if (history_list != NULL) {
    history(history_list, &event, H_SETSIZE, HISTORY_LINES);
    el_set(editor, EL_HIST, history, history_list);
  }
  el_set(editor, EL_PROMPT, prompt_of);
  el_set(editor, EL_EDITOR, "emacs");
  // Raw mode from here on, and the prompt.
  el_set(editor, EL_UNBUFFERED, 1);
  return true;
}

void edit_close(void) {
  if (editor == NULL) return;
  el_set(editor, EL_UNBUFFERED, 0);
  el_end(editor);
  editor = NULL;
  if (history_list != NULL) history_end(history_list);
  history_list = NULL;
}

edit_result edit_read(const char **line) {
  int count = 0;
  const char *text = el_gets(editor, &count);
  if (text == NULL) return EDIT_END;
  if (count <= 0) return EDIT_MORE;
  if (count == 1 && text[0] == CONTROL_D) return EDIT_END;
  if (text[count - 1] != '\n' && text[count - 1] != '\r') return EDIT_MORE;
  size_t length = (size_t)count - 1;
  if (length >= sizeof line_text) length = sizeof line_text - 1;
  memcpy(line_text, text, length);
  line_text[length] = 0;
  *line = line_text;
  HistEvent event;
  if (length > 0 && history_list != NULL) history(history_list, &event, H_ENTER, line_text);
  // Off and on again: that is how the next line begins.
  el_set(editor, EL_UNBUFFERED, 0);
  el_set(editor, EL_UNBUFFERED, 1);
  return EDIT_LINE;
}

// Columns that a text takes on the screen.
static int width_of(const char *text, size_t length) {
  mbstate_t state;
  memset(&state, 0, sizeof state);
  int width = 0;
  size_t at = 0;
  while (at < length) {
    wchar_t character;
    size_t bytes = mbrtowc(&character, text + at, length - at, &state);
    if (bytes == 0 || bytes == (size_t)-1 || bytes == (size_t)-2) {
      bytes = 1;
      width += 1;
      memset(&state, 0, sizeof state);
    } else {
      int columns = wcwidth(character);
      width += columns > 0 ? columns : 0;
    }
    at += bytes;
  }
  return width;
}

void edit_hide(void) {
  if (editor == NULL) return;
  struct winsize window = {0};
  int columns = COLUMNS_UNKNOWN;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) columns = window.ws_col;
  const LineInfo *info = el_line(editor);
  int width = width_of(prompt_text, strlen(prompt_text));
  if (info != NULL) width += width_of(info->buffer, (size_t)(info->cursor - info->buffer));
  // To the first of the rows that the input takes, and away with all of them.
  printf("\r");
  if (width / columns > 0) printf("\033[%dA", width / columns);
  printf("\033[J");
  fflush(stdout);
}

void edit_show(void) {
  if (editor != NULL) el_set(editor, EL_REFRESH);
}

void edit_resize(void) {
  if (editor != NULL) el_resize(editor);
}
