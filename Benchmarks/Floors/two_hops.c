// The least that a cluster's messages cost on a broker: librdkafka and nothing else.
//
//   producer -> topic of the log -> consumer, producer -> topic of the inbox -> consumer
//
// with the settings that a promise needs (acks=all, idempotent, one request in flight), each queue waking
// one thread by an eventfd. At a rate, latencies count from when a message was due; at full speed so many
// messages are under way. All that was sent must have come back, or the program ends with 1.
#include <errno.h>
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
  BATCH = 1000,
  BYTES_MAX = 64 << 10,
  PARTITIONS_MAX = 1024,
  // A message begins with when it was due.
  DUE_BYTES = 8,
  CALL_MILLISECONDS = 10000,
  DRAIN_SECONDS = 20,
};
// Latencies kept of each kind; those beyond are not.
static const size_t SAMPLES_MAX = 4 << 20;
static const uint64_t SECOND = 1000000000;

static struct {
  const char *brokers;
  uint64_t rate;  // 0: full speed
  uint64_t under_way;
  int hops, seconds, warm_up, partitions, log_bytes, inbox_bytes;
} options = {.hops = 2, .seconds = 5, .warm_up = 2, .partitions = 16, .under_way = 10000,
             .log_bytes = 400, .inbox_bytes = 400};

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("two_hops: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static uint64_t nanoseconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}
static uint64_t now(void) { return nanoseconds(CLOCK_MONOTONIC); }

// MARK: Latencies

struct samples {
  uint64_t *times;
  size_t count;
};
static struct samples acks, deliveries;
static bool is_measuring;

static void record(struct samples *samples, uint64_t time) {
  if (is_measuring && samples->count < SAMPLES_MAX) samples->times[samples->count++] = time;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static double milliseconds(const struct samples *samples, int percent) {
  if (samples->count == 0) return 0;
  return (double)samples->times[(samples->count - 1) * (size_t)percent / 100] / 1e6;
}

// MARK: Handles

static char log_name[64], inbox_name[64];

static rd_kafka_t *make(rd_kafka_type_t type, bool is_idempotent) {
  char error[256];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  const char *producer[] = {"acks", "all", "linger.ms", "0", "max.in.flight", "1",
                            "queue.buffering.max.messages", "1000000", NULL};
  const char *consumer[] = {"fetch.wait.max.ms", "100", NULL};
  const char *common[] = {"bootstrap.servers", options.brokers, "socket.nagle.disable", "true", NULL};
  const char **settings[] = {common, type == RD_KAFKA_PRODUCER ? producer : consumer};
  for (int i = 0; i < 2; i++)
    for (const char **s = settings[i]; *s; s += 2)
      if (rd_kafka_conf_set(conf, s[0], s[1], error, sizeof error)) fail("%s", error);
  if (is_idempotent && rd_kafka_conf_set(conf, "enable.idempotence", "true", error, sizeof error))
    fail("%s", error);
  if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
  rd_kafka_t *handle = rd_kafka_new(type, conf, error, sizeof error);
  if (!handle) fail("%s", error);
  return handle;
}

// A topic's handle, once the brokers know it.
static rd_kafka_topic_t *open_topic(rd_kafka_t *handle, const char *name) {
  rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, name, NULL);
  for (int turn = 0; turn < 100; turn++) {
    const struct rd_kafka_metadata *metadata;
    if (!rd_kafka_metadata(handle, 0, topic, &metadata, CALL_MILLISECONDS)) {
      bool is_there = metadata->topic_cnt == 1 && metadata->topics[0].partition_cnt > 0;
      rd_kafka_metadata_destroy(metadata);
      if (is_there) return topic;
    }
    usleep(50000);
  }
  fail("no topic %s", name);
  return NULL;
}

static void administer(rd_kafka_t *handle, bool is_making) {
  const char *names[] = {log_name, inbox_name};
  int partitions[] = {options.partitions, 1};
  rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
  rd_kafka_NewTopic_t *made[2];
  rd_kafka_DeleteTopic_t *ended[2];
  for (int i = 0; i < 2; i++) {
    made[i] = rd_kafka_NewTopic_new(names[i], partitions[i], 1, NULL, 0);
    ended[i] = rd_kafka_DeleteTopic_new(names[i]);
  }
  if (is_making) {
    rd_kafka_CreateTopics(handle, made, 2, NULL, queue);
  } else {
    rd_kafka_DeleteTopics(handle, ended, 2, NULL, queue);
  }
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MILLISECONDS);
  if (!event) fail("topics: no answer");
  if (rd_kafka_event_error(event)) fail("topics: %s", rd_kafka_event_error_string(event));
  rd_kafka_event_destroy(event);
  rd_kafka_NewTopic_destroy_array(made, 2);
  rd_kafka_DeleteTopic_destroy_array(ended, 2);
  rd_kafka_queue_destroy(queue);
}

// MARK: The hops

static rd_kafka_t *log_producer, *inbox_producer;
static rd_kafka_topic_t *log_topic, *inbox_topic;
static rd_kafka_queue_t *log_reports, *inbox_reports, *log_records, *inbox_records;
static int poller;
static uint64_t sent, delivered;
static char body[BYTES_MAX];

static void wake_by(rd_kafka_queue_t *queue, int *descriptor) {
  static const uint64_t one = 1;
  *descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  rd_kafka_queue_io_event_enable(queue, *descriptor, &one, sizeof one);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = *descriptor};
  epoll_ctl(poller, EPOLL_CTL_ADD, *descriptor, &event);
}

// False: the queue has no room now.
static bool produce(rd_kafka_topic_t *topic, int32_t partition, uint64_t due, int bytes) {
  memcpy(body, &due, DUE_BYTES);
  int result = rd_kafka_produce(
      topic, partition, RD_KAFKA_MSG_F_COPY, body, (size_t)bytes, NULL, 0, (void *)(uintptr_t)due);
  if (!result) return true;
  if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
    fail("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
  return false;
}

static void send_next(uint64_t due) {
  if (!produce(log_topic, (int32_t)(sent % (uint64_t)options.partitions), due, options.log_bytes))
    fail("the producer is full");
  sent++;
}

static void drain_reports(rd_kafka_queue_t *queue, bool is_log) {
  for (rd_kafka_event_t *event; (event = rd_kafka_queue_poll(queue, 0)); rd_kafka_event_destroy(event)) {
    const rd_kafka_message_t *message;
    uint64_t time = now();
    while ((message = rd_kafka_event_message_next(event))) {
      if (message->err) fail("a message was not taken: %s", rd_kafka_err2str(message->err));
      if (is_log) record(&acks, time - (uint64_t)(uintptr_t)message->_private);
    }
  }
}

static void drain_records(rd_kafka_queue_t *queue, bool is_last) {
  static rd_kafka_message_t *messages[BATCH];
  ssize_t count;
  while ((count = rd_kafka_consume_batch_queue(queue, 0, messages, BATCH)) > 0) {
    uint64_t time = now();
    for (ssize_t i = 0; i < count; i++) {
      uint64_t due;
      if (messages[i]->err) fail("consume: %s", rd_kafka_err2str(messages[i]->err));
      memcpy(&due, messages[i]->payload, DUE_BYTES);
      if (is_last) {
        delivered++;
        record(&deliveries, time - due);
      } else if (!produce(inbox_topic, 0, due, options.inbox_bytes)) {
        fail("the inbox's producer is full");
      }
      rd_kafka_message_destroy(messages[i]);
    }
  }
}

static void open_all(void) {
  snprintf(log_name, sizeof log_name, "floor.log.%d", getpid());
  snprintf(inbox_name, sizeof inbox_name, "floor.inbox.%d", getpid());
  poller = epoll_create1(EPOLL_CLOEXEC);
  log_producer = make(RD_KAFKA_PRODUCER, true);
  administer(log_producer, true);
  // An inbox is told again what was lost, so that its producer need not be idempotent.
  inbox_producer = make(RD_KAFKA_PRODUCER, false);
  log_topic = open_topic(log_producer, log_name);
  inbox_topic = open_topic(inbox_producer, inbox_name);
  log_reports = rd_kafka_queue_get_main(log_producer);
  inbox_reports = rd_kafka_queue_get_main(inbox_producer);

  rd_kafka_t *log_consumer = make(RD_KAFKA_CONSUMER, false);
  rd_kafka_t *inbox_consumer = make(RD_KAFKA_CONSUMER, false);
  log_records = rd_kafka_queue_new(log_consumer);
  inbox_records = rd_kafka_queue_new(inbox_consumer);
  rd_kafka_topic_t *topic = open_topic(log_consumer, log_name);
  for (int i = 0; i < options.partitions; i++)
    rd_kafka_consume_start_queue(topic, i, RD_KAFKA_OFFSET_BEGINNING, log_records);
  rd_kafka_consume_start_queue(
      open_topic(inbox_consumer, inbox_name), 0, RD_KAFKA_OFFSET_BEGINNING, inbox_records);
}

// MARK: The run

static int timer;
static uint64_t interval, begun_at, paced;

static void begin_pacing(void) {
  // Several are due at a time where the timer would ring more often than this.
  const uint64_t ring_min = 100000;
  interval = SECOND / options.rate;
  uint64_t ring = interval * ((ring_min + interval - 1) / interval);
  begun_at = now();
  struct itimerspec times = {
      .it_interval = {(time_t)(ring / SECOND), (long)(ring % SECOND)},
      .it_value = {(time_t)((begun_at + ring) / SECOND), (long)((begun_at + ring) % SECOND)}};
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &times, NULL);
}

static void send_due(void) {
  if (options.rate == 0) {
    while (sent - delivered < options.under_way) send_next(now());
    return;
  }
  for (; begun_at + paced * interval <= now(); paced++) send_next(begun_at + paced * interval);
}

static void turn(const int descriptors[4], bool is_sending) {
  struct epoll_event events[8];
  int count = epoll_wait(poller, events, 8, 100);
  for (int i = 0; i < count; i++) {
    uint64_t number;
    if (read(events[i].data.fd, &number, sizeof number) < 0 && errno != EAGAIN) fail("read");
    if (events[i].data.fd == descriptors[0]) drain_reports(log_reports, true);
    if (events[i].data.fd == descriptors[1]) drain_reports(inbox_reports, false);
    if (events[i].data.fd == descriptors[2]) drain_records(log_records, options.hops == 1);
    if (events[i].data.fd == descriptors[3]) drain_records(inbox_records, true);
  }
  if (is_sending) send_due();
}

static void run(void) {
  int descriptors[4];
  wake_by(log_reports, &descriptors[0]);
  wake_by(inbox_reports, &descriptors[1]);
  wake_by(log_records, &descriptors[2]);
  wake_by(inbox_records, &descriptors[3]);
  // A queue rings when it is no longer empty, and what was said up to here lies in it.
  drain_reports(log_reports, true);
  drain_reports(inbox_reports, false);
  drain_records(log_records, options.hops == 1);
  drain_records(inbox_records, true);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = timer};
  epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event);

  // One of each partition has come before time is taken: connections stand, fetches are under way.
  for (int i = 0; i < options.partitions; i++) send_next(now());
  uint64_t deadline = now() + DRAIN_SECONDS * SECOND;
  while (delivered < sent) {
    turn(descriptors, false);
    if (now() > deadline) fail("the first messages did not come back");
  }
  if (options.rate > 0) begin_pacing();
  send_due();
  for (uint64_t end = now() + (uint64_t)options.warm_up * SECOND; now() < end;) turn(descriptors, true);
  is_measuring = true;
  uint64_t begin = now(), cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID), before = delivered;
  while (now() < begin + (uint64_t)options.seconds * SECOND) turn(descriptors, true);
  is_measuring = false;
  double seconds = (double)(now() - begin) / (double)SECOND;
  uint64_t count = delivered - before;
  cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  deadline = now() + DRAIN_SECONDS * SECOND;
  while (delivered < sent && now() < deadline) turn(descriptors, false);
  if (delivered != sent)
    fail("%llu sent, %llu came back", (unsigned long long)sent, (unsigned long long)delivered);

  qsort(acks.times, acks.count, sizeof *acks.times, compare);
  qsort(deliveries.times, deliveries.count, sizeof *deliveries.times, compare);
  printf("{\"messages\":%llu,\"per_second\":%.1f,", (unsigned long long)count, (double)count / seconds);
  printf("\"cpu_us_per_message\":%.2f,", count ? (double)cpu / 1e3 / (double)count : 0.0);
  printf("\"answered_p50_ms\":%.3f,\"answered_p99_ms\":%.3f,", milliseconds(&acks, 50),
         milliseconds(&acks, 99));
  printf("\"delivered_p50_ms\":%.3f,\"delivered_p99_ms\":%.3f}\n", milliseconds(&deliveries, 50),
         milliseconds(&deliveries, 99));
}

int main(int count, char **words) {
  static const struct option flags[] = {
      {"rate", 1, 0, 'r'}, {"under-way", 1, 0, 'u'}, {"hops", 1, 0, 'h'}, {"seconds", 1, 0, 's'},
      {"warmup", 1, 0, 'w'}, {"partitions", 1, 0, 'p'}, {"log-bytes", 1, 0, 'l'},
      {"inbox-bytes", 1, 0, 'i'}, {0, 0, 0, 0}};
  for (int flag; (flag = getopt_long(count, words, "", flags, NULL)) != -1;) {
    long value = flag == '?' ? -1 : atol(optarg);
    if (value < 0) return 2;
    switch (flag) {
      case 'r': options.rate = (uint64_t)value; break;
      case 'u': options.under_way = (uint64_t)value; break;
      case 'h': options.hops = (int)value; break;
      case 's': options.seconds = (int)value; break;
      case 'w': options.warm_up = (int)value; break;
      case 'p': options.partitions = (int)value; break;
      case 'l': options.log_bytes = (int)value; break;
      case 'i': options.inbox_bytes = (int)value; break;
    }
  }
  if (optind != count - 1 || options.partitions < 1 || options.partitions > PARTITIONS_MAX ||
      options.log_bytes < DUE_BYTES || options.log_bytes > BYTES_MAX || options.inbox_bytes < DUE_BYTES ||
      options.inbox_bytes > BYTES_MAX || options.hops < 1 || options.hops > 2) {
    fputs("usage: two_hops [--rate N | --under-way N] [--hops 1|2] [--seconds N] [--warmup N]\n"
          "                [--partitions N] [--log-bytes N] [--inbox-bytes N] BROKERS\n", stderr);
    return 2;
  }
  options.brokers = words[optind];
  memset(body, 'x', sizeof body);
  acks.times = malloc(SAMPLES_MAX * sizeof *acks.times);
  deliveries.times = malloc(SAMPLES_MAX * sizeof *deliveries.times);
  if (!acks.times || !deliveries.times) fail("no memory");
  open_all();
  run();
  administer(log_producer, false);
  fflush(stdout);
  // Four handles would take seconds to end, and nothing is left in them.
  _exit(0);
}
