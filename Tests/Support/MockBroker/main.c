// librdkafka's mock cluster in a process of its own, for machines on which no Apache Kafka runs.
//
// Prints "ready ADDRESSES". Then each line of standard input "topic NAME PARTITIONS" makes a topic and is
// answered "ok" or "failed". Ends with its standard input, and so with whoever started it.
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>

int main(void) {
  char reason[256];
  // The handle that carries the cluster connects to nobody, and need not say so.
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_conf_set_log_cb(conf, NULL);
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
  rd_kafka_mock_cluster_t *cluster = rk ? rd_kafka_mock_cluster_new(rk, 1) : NULL;
  if (!cluster) {
    fprintf(stderr, "MockBroker: %s\n", rk ? "no cluster" : reason);
    return 1;
  }
  printf("ready %s\n", rd_kafka_mock_cluster_bootstraps(cluster));
  fflush(stdout);

  char line[512], name[256];
  int partitions;
  while (fgets(line, sizeof(line), stdin)) {
    int made = sscanf(line, "topic %255s %d", name, &partitions) == 2 &&
               rd_kafka_mock_topic_create(cluster, name, partitions, 1) == RD_KAFKA_RESP_ERR_NO_ERROR;
    puts(made ? "ok" : "failed");
    fflush(stdout);
  }
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(rk);
  return 0;
}
