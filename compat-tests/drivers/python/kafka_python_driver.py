"""The driver of kafka-python; the verbs are described in ../README.md."""

import logging
import queue
import re
import sys
import threading
import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType
from kafka.errors import for_code
from kafka.structs import OffsetAndMetadata

from line_protocol import VerbError, decode, encode, serve

CALL_SECONDS = 30
UNANSWERED = 2000


def code_of(error):
    return getattr(error, "errno", None)


def received(record):
    return {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": encode(record.key),
        "value": encode(record.value),
        "headers": [[name, encode(value)] for name, value in record.headers or []],
    }


def poll(consumer, timeout_ms, **limits):
    batches = consumer.poll(timeout_ms=timeout_ms, **limits)
    return [record for batch in batches.values() for record in batch]


class Verbs:
    def __init__(self, address):
        self.base = {"bootstrap_servers": address}
        self.member = None
        self.load = None
        self.known_admin = None

    def hello(self):
        return f"kafka-python {kafka.__version__}"

    def produce(self, records, options):
        config = {**self.base, "acks": "all", "linger_ms": 20, "enable_idempotence": options["idempotent"]}
        if options["idempotent"]:
            config.update({"max_in_flight_requests_per_connection": 5, "linger_ms": 0})
        if options["compression"]:
            config["compression_type"] = options["compression"]
        if options["batch_bytes"]:
            config["batch_size"] = options["batch_bytes"]
        if options["max_request_bytes"]:
            config["max_request_size"] = options["max_request_bytes"]
        if options["request_timeout_ms"]:
            config["request_timeout_ms"] = options["request_timeout_ms"]
        producer = KafkaProducer(**config)
        futures = [self._send(producer, record) for record in records]
        producer.flush(120)
        deliveries = []
        for future in futures:
            try:
                metadata = future.get(CALL_SECONDS)
                deliveries.append({"partition": metadata.partition, "offset": metadata.offset})
            except kafka.errors.KafkaError as error:
                deliveries.append({"code": code_of(error) or -1, "message": str(error)})
        producer.close()
        return deliveries

    @staticmethod
    def _send(producer, record):
        return producer.send(
            record["topic"],
            key=decode(record["key"]),
            value=decode(record["value"]),
            headers=[(name, decode(value)) for name, value in record["headers"]],
            partition=record["partition"],
            timestamp_ms=record["timestamp"],
        )

    def _assigned(self, topic, partition, **config):
        consumer = KafkaConsumer(**self.base, group_id=None, auto_offset_reset="none", **config)
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        return consumer, place

    def consume(self, topic, partition, offset, count, timeout_ms):
        consumer, place = self._assigned(topic, partition)
        consumer.seek(place, offset)
        records = []
        deadline = time.monotonic() + timeout_ms / 1000
        while len(records) < count and time.monotonic() < deadline:
            records += poll(consumer, 100, max_records=count - len(records))
        consumer.close()
        return [received(record) for record in records]

    def offset_for_time(self, topic, partition, timestamp):
        consumer, place = self._assigned(topic, partition)
        found = consumer.offsets_for_times({place: timestamp})[place]
        consumer.close()
        return None if found is None else found.offset

    def watermarks(self, topic, partition):
        consumer, place = self._assigned(topic, partition)
        answer = [consumer.beginning_offsets([place])[place], consumer.end_offsets([place])[place]]
        consumer.close()
        return answer

    def long_poll(self, topic, partition, rounds, max_wait_ms):
        receipts = queue.Queue()
        consumer, place = self._assigned(topic, partition, fetch_max_wait_ms=max_wait_ms, fetch_min_bytes=1)
        consumer.seek_to_end(place)
        consumer.position(place)

        def receive():
            while True:
                for _ in poll(consumer, 500):
                    receipts.put(time.monotonic())

        threading.Thread(target=receive, daemon=True).start()
        producer = KafkaProducer(**self.base, acks="all", linger_ms=0)
        producer.partitions_for(topic)
        time.sleep(0.5)
        latencies = []
        for _ in range(rounds):
            time.sleep(0.15)
            producer.send(topic, b"ping", partition=partition).get(CALL_SECONDS)
            sent = time.monotonic()
            latencies.append(max(0.0, receipts.get(timeout=CALL_SECONDS) - sent) * 1000)
        return latencies

    def group_join(self, group, topic, protocol, session_timeout_ms):
        self.member = KafkaConsumer(
            **self.base,
            group_id=group,
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=500,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        # A leader that joins before it knows the topic assigns nothing, and one that learns of it while it joins joins
        # again by itself, which takes its uncommitted position away. So the topic's metadata comes first.
        self.member.partitions_for_topic(topic)
        self.member.subscribe([topic])
        update = self.member._cluster.request_update()
        self.member._net.run(self.member._manager.wait_for, update, CALL_SECONDS * 1000)
        self.positions = {}
        return {}

    def group_poll(self, timeout_ms):
        records = []
        deadline = time.monotonic() + timeout_ms / 1000
        while time.monotonic() < deadline:
            records += poll(self.member, 50)
        for record in records:
            place = TopicPartition(record.topic, record.partition)
            self.positions[place] = OffsetAndMetadata(record.offset + 1, "", -1)
        assignment = [place.partition for place in self.member.assignment()]
        return {"assignment": assignment, "records": [received(record) for record in records]}

    def group_commit(self):
        if self.positions:
            self.member.commit(self.positions, timeout_ms=CALL_SECONDS * 1000)
        self.positions = {}
        return {}

    def group_leave(self):
        self.member.close(autocommit=False)
        self.member = None
        return {}

    def _admin(self):
        if self.known_admin is None:
            self.known_admin = KafkaAdminClient(**self.base)
        return self.known_admin

    def create_topic(self, topic, partitions, configs):
        wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
        self._admin().create_topics({topic: wanted})
        return {}

    def create_partitions(self, topic, total):
        self._admin().create_partitions({topic: total})
        return {}

    def delete_topic(self, topic):
        self._admin().delete_topics([topic])
        return {}

    def describe_topic(self, topic):
        [found] = self._admin().describe_topics([topic])
        if found["error_code"]:
            raise for_code(found["error_code"])()
        return [{"partition": one["partition_index"], "leader": one["leader_id"]} for one in found["partitions"]]

    def list_topics(self):
        return self._admin().list_topics()

    def describe_configs(self, topic):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        configs = self._admin().describe_configs([resource], config_filter="all")["topic"][topic]
        return {name: config["value"] for name, config in configs.items()}

    def incremental_alter_configs(self, topic, set, delete):
        configs = {name: (AlterConfigOp.SET, value) for name, value in set.items()}
        configs.update({name: (AlterConfigOp.DELETE, None) for name in delete})
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs)
        outcome = self._admin().alter_configs([resource], incremental=True)["topic"][topic]
        if outcome != "OK":
            # The library turns the error into text.
            code = re.search(r"\[Error (\d+)\]", outcome)
            raise VerbError(int(code.group(1)) if code else None, outcome)
        return {}

    def load_start(self, topic, partitions):
        self.load = Load(self.base, topic, partitions)
        return {}

    def load_status(self):
        return len(self.load.acknowledged)

    def load_stop(self):
        return self.load.stop()


class Load:
    def __init__(self, base, topic, partitions):
        config = {"enable_idempotence": True, "acks": "all", "linger_ms": 2, "delivery_timeout_ms": 120000}
        self.producer = KafkaProducer(**base, **config, reconnect_backoff_max_ms=500)
        self.acknowledged, self.failed, self.sent, self.stopped = [], [], 0, False
        self.thread = threading.Thread(target=self._send, args=(topic, partitions), daemon=True)
        self.thread.start()

    def _send(self, topic, partitions):
        number = 0
        while not self.stopped:
            if self.sent - len(self.acknowledged) - len(self.failed) < UNANSWERED:
                for partition in range(partitions):
                    self._send_one(topic, partition, number)
                number += 1
            time.sleep(0.001)
        self.producer.flush(120)

    def _send_one(self, topic, partition, number):
        future = self.producer.send(topic, str(number).encode(), partition=partition)
        future.add_callback(lambda metadata: self.acknowledged.append([partition, number, metadata.offset]))
        future.add_errback(lambda error: self.failed.append(f"{partition}/{number}: {error}"))
        self.sent += 1

    def stop(self):
        self.stopped = True
        self.thread.join()
        return {"acknowledged": self.acknowledged, "failed": self.failed}


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    serve(Verbs(sys.argv[1]), code_of)
