#include <librdkafka/rdkafka.h>
#include <sys/eventfd.h>

// Glibc's module does not bring eventfd: librdkafka writes to one where a queue is no longer empty.
static inline int fc_kafka_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
