"""The driver of confluent-kafka; the verbs are described in ../README.md."""

import queue
import sys
import threading
import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from line_protocol import decode, encode, serve

CALL_SECONDS = 30
UNANSWERED = 2000


def code_of(error):
    if isinstance(error, KafkaException) and hasattr(error.args[0], "code"):
        return error.args[0].code()
    return None


def received(message):
    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": encode(message.key()),
        "value": encode(message.value()),
        "headers": [[name, encode(value)] for name, value in message.headers() or []],
    }


class Verbs:
    def __init__(self, address):
        self.base = {"bootstrap.servers": address}
        self.member = None
        self.load = None
        self.known_admin = None

    def hello(self):
        return f"confluent-kafka {confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})"

    def produce(self, records, options):
        config = {**self.base, "acks": "all", "linger.ms": 20, "message.timeout.ms": 60000}
        if options["idempotent"]:
            config.update({"enable.idempotence": True, "max.in.flight.requests.per.connection": 5, "linger.ms": 0})
        if options["compression"]:
            config["compression.type"] = options["compression"]
        if options["batch_records"]:
            config["batch.num.messages"] = options["batch_records"]
        if options["max_request_bytes"]:
            config["message.max.bytes"] = options["max_request_bytes"]
        if options["request_timeout_ms"]:
            config["socket.timeout.ms"] = config["request.timeout.ms"] = options["request_timeout_ms"]
        deliveries = [None] * len(records)
        producer = Producer(config)
        for number, record in enumerate(records):
            self._send(producer, record, number, deliveries)
        producer.flush(120)
        if None in deliveries:
            raise RuntimeError("a record was flushed without a delivery report")
        return deliveries

    @staticmethod
    def _send(producer, record, number, deliveries):
        def delivered(error, message):
            if error is None:
                deliveries[number] = {"partition": message.partition(), "offset": message.offset()}
            else:
                deliveries[number] = {"code": error.code(), "message": error.str()}

        arguments = {"key": decode(record["key"]), "value": decode(record["value"]), "on_delivery": delivered}
        if record["partition"] is not None:
            arguments["partition"] = record["partition"]
        if record["timestamp"] is not None:
            arguments["timestamp"] = record["timestamp"]
        if record["headers"]:
            arguments["headers"] = [(name, decode(value)) for name, value in record["headers"]]
        try:
            producer.produce(record["topic"], **arguments)
        except KafkaException as error:
            deliveries[number] = {"code": error.args[0].code(), "message": error.args[0].str()}
        producer.poll(0)

    def _assigned(self, topic, partition, offset, **config):
        fixed = {"group.id": "assigned-by-hand", "enable.auto.commit": False, "auto.offset.reset": "error"}
        consumer = Consumer({**self.base, **fixed, **config})
        consumer.assign([TopicPartition(topic, partition, offset)])
        return consumer

    def consume(self, topic, partition, offset, count, timeout_ms):
        consumer = self._assigned(topic, partition, offset)
        records = []
        deadline = time.monotonic() + timeout_ms / 1000
        while len(records) < count and time.monotonic() < deadline:
            records += poll(consumer, 0.1)
        consumer.close()
        return records

    def offset_for_time(self, topic, partition, timestamp):
        consumer = Consumer({**self.base, "group.id": "by-time"})
        [found] = consumer.offsets_for_times([TopicPartition(topic, partition, timestamp)], CALL_SECONDS)
        consumer.close()
        if found.error:
            raise KafkaException(found.error)
        return found.offset if found.offset >= 0 else None

    def watermarks(self, topic, partition):
        consumer = Consumer({**self.base, "group.id": "watermarks"})
        answer = consumer.get_watermark_offsets(TopicPartition(topic, partition), CALL_SECONDS)
        consumer.close()
        return list(answer)

    def long_poll(self, topic, partition, rounds, max_wait_ms):
        acknowledged, receipts = queue.Queue(), queue.Queue()
        limits = {"fetch.wait.max.ms": max_wait_ms, "fetch.min.bytes": 1}
        consumer = self._assigned(topic, partition, confluent_kafka.OFFSET_END, **limits)

        def receive():
            while True:
                if poll(consumer, 0.5):
                    receipts.put(time.monotonic())

        threading.Thread(target=receive, daemon=True).start()
        time.sleep(1.5)  # OFFSET_END is looked up in the background.
        producer = Producer({**self.base, "acks": "all", "linger.ms": 0})
        latencies = []
        for _ in range(rounds):
            time.sleep(0.15)
            producer.produce(
                topic, b"ping", partition=partition, on_delivery=lambda *_: acknowledged.put(time.monotonic())
            )
            producer.flush(CALL_SECONDS)
            sent = acknowledged.get(timeout=CALL_SECONDS)
            latencies.append(max(0.0, receipts.get(timeout=CALL_SECONDS) - sent) * 1000)
        return latencies

    def group_join(self, group, topic, protocol, session_timeout_ms=None):
        own = {"session.timeout.ms": session_timeout_ms, "heartbeat.interval.ms": 500}
        self.member = Consumer(
            {
                **self.base,
                **(own if protocol == "classic" else {}),
                "group.id": group,
                "group.protocol": protocol,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        self.positions = {}
        self.member.subscribe([topic])
        return {}

    def group_poll(self, timeout_ms):
        records = []
        deadline = time.monotonic() + timeout_ms / 1000
        while time.monotonic() < deadline:
            for message in self.member.consume(100, 0.05):
                if message.error():
                    raise KafkaException(message.error())
                self.positions[(message.topic(), message.partition())] = message.offset() + 1
                records.append(received(message))
        return {"assignment": [place.partition for place in self.member.assignment()], "records": records}

    def group_commit(self):
        if self.positions:
            offsets = [TopicPartition(topic, number, at) for (topic, number), at in self.positions.items()]
            for answer in self.member.commit(offsets=offsets, asynchronous=False):
                if answer.error:
                    raise KafkaException(answer.error)
        self.positions = {}
        return {}

    def group_leave(self):
        self.member.close()
        self.member = None
        return {}

    def _admin(self):
        # Kept: a client that is collected while a call is under way cancels it.
        if self.known_admin is None:
            self.known_admin = AdminClient(self.base)
        return self.known_admin

    def create_topic(self, topic, partitions, configs):
        return self._done(self._admin().create_topics([NewTopic(topic, partitions, 1, config=configs)]))

    def create_partitions(self, topic, total):
        return self._done(self._admin().create_partitions([NewPartitions(topic, total)]))

    def delete_topic(self, topic):
        return self._done(self._admin().delete_topics([topic]))

    @staticmethod
    def _done(futures):
        for future in futures.values():
            future.result(CALL_SECONDS)
        return {}

    def describe_topic(self, topic):
        # Not list_topics(topic): the admin client is a producer, whose Metadata requests create topics.
        [future] = self._admin().describe_topics(TopicCollection([topic])).values()
        found = future.result(CALL_SECONDS)
        return [{"partition": one.id, "leader": one.leader.id if one.leader else -1} for one in found.partitions]

    def list_topics(self):
        return list(self._admin().list_topics(timeout=CALL_SECONDS).topics)

    def describe_configs(self, topic):
        [future] = self._admin().describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        return {name: entry.value for name, entry in future.result(CALL_SECONDS).items()}

    def incremental_alter_configs(self, topic, set, delete):
        entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in set.items()]
        entries += [ConfigEntry(name, None, incremental_operation=AlterConfigOpType.DELETE) for name in delete]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        return self._done(self._admin().incremental_alter_configs([resource]))

    def alter_configs(self, topic, set):
        resource = ConfigResource(ResourceType.TOPIC, topic, set_config=set)
        return self._done(self._admin().alter_configs([resource]))

    def load_start(self, topic, partitions):
        self.load = Load(self.base, topic, partitions)
        return {}

    def load_status(self):
        return len(self.load.acknowledged)

    def load_stop(self):
        return self.load.stop()


class Load:
    def __init__(self, base, topic, partitions):
        limits = {"message.timeout.ms": 120000, "linger.ms": 2, "reconnect.backoff.max.ms": 500}
        self.producer = Producer({**base, "enable.idempotence": True, "acks": "all", **limits})
        self.acknowledged, self.failed, self.sent, self.stopped = [], [], 0, False
        self.thread = threading.Thread(target=self._send, args=(topic, partitions), daemon=True)
        self.thread.start()

    def _send(self, topic, partitions):
        number = 0
        while not self.stopped:
            if self.sent - len(self.acknowledged) - len(self.failed) < UNANSWERED:
                for partition in range(partitions):
                    self.producer.produce(
                        topic, str(number), partition=partition, on_delivery=self._reporter(number)
                    )
                    self.sent += 1
                number += 1
            self.producer.poll(0.001)
        self.producer.flush(120)

    def _reporter(self, number):
        def delivered(error, message):
            if error is None:
                self.acknowledged.append([message.partition(), number, message.offset()])
            else:
                self.failed.append(f"{message.partition()}/{number}: {error}")

        return delivered

    def stop(self):
        self.stopped = True
        self.thread.join()
        return {"acknowledged": self.acknowledged, "failed": self.failed}


def poll(consumer, seconds):
    message = consumer.poll(seconds)
    if message is None:
        return []
    if message.error():
        if message.error().code() == confluent_kafka.KafkaError._TRANSPORT:
            return []
        raise KafkaException(message.error())
    return [received(message)]


if __name__ == "__main__":
    serve(Verbs(sys.argv[1]), code_of)
