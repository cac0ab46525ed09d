// The reader alone: the sockets are ours, and commands are encoded into our own buffer.
#include <hiredis/read.h>
