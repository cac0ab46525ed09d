#include "linuxio.h"
