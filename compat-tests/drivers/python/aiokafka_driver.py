"""The driver of aiokafka; the verbs are described in ../README.md."""

import asyncio
import functools
import logging
import sys
import threading
import time

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from line_protocol import VerbError, decode, encode, serve

UNANSWERED = 2000
UNKNOWN_TOPIC = 3


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


def expect_no_error(outcomes):
    """Answers of the admin client are the broker's, with name and code first; the rest are the broker's words."""
    for name, code, *words in outcomes:
        if code:
            raise VerbError(code, f"{name}: {words}")


def in_the_loop(verb):
    """The library lives in an event loop, the line protocol outside of it."""

    @functools.wraps(verb)
    def call(self, *arguments, **named):
        return asyncio.run_coroutine_threadsafe(verb(self, *arguments, **named), self.loop).result()

    return call


class Verbs:
    def __init__(self, address):
        self.base = {"bootstrap_servers": address}
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.member = None
        self.positions = {}
        self.load = None
        self.known_admin = None

    def hello(self):
        return f"aiokafka {aiokafka.__version__}"

    @in_the_loop
    async def produce(self, records, options):
        config = {**self.base, "acks": "all", "linger_ms": 20, "enable_idempotence": options["idempotent"]}
        if options["compression"]:
            config["compression_type"] = options["compression"]
        if options["batch_bytes"]:
            config["max_batch_size"] = options["batch_bytes"]
        if options["max_request_bytes"]:
            config["max_request_size"] = options["max_request_bytes"]
        if options["request_timeout_ms"]:
            config["request_timeout_ms"] = options["request_timeout_ms"]
        deliveries = []
        async with AIOKafkaProducer(**config) as producer:
            for future in [await self._send(producer, record) for record in records]:
                try:
                    metadata = await future
                    deliveries.append({"partition": metadata.partition, "offset": metadata.offset})
                except KafkaError as error:
                    deliveries.append({"code": code_of(error) or -1, "message": str(error)})
        return deliveries

    @staticmethod
    async def _send(producer, record):
        try:
            return await producer.send(
                record["topic"],
                key=decode(record["key"]),
                value=decode(record["value"]),
                headers=[(name, decode(value)) for name, value in record["headers"]],
                partition=record["partition"],
                timestamp_ms=record["timestamp"],
            )
        except KafkaError as error:
            refused = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    async def _assigned(self, topic, partition, **config):
        consumer = AIOKafkaConsumer(**self.base, group_id=None, auto_offset_reset="none", **config)
        await consumer.start()
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        return consumer, place

    @in_the_loop
    async def consume(self, topic, partition, offset, count, timeout_ms):
        consumer, place = await self._assigned(topic, partition)
        consumer.seek(place, offset)
        records = []
        deadline = time.monotonic() + timeout_ms / 1000
        while len(records) < count and time.monotonic() < deadline:
            records += await poll(consumer, 100, max_records=count - len(records))
        await consumer.stop()
        return [received(record) for record in records]

    @in_the_loop
    async def offset_for_time(self, topic, partition, timestamp):
        consumer, place = await self._assigned(topic, partition)
        found = (await consumer.offsets_for_times({place: timestamp}))[place]
        await consumer.stop()
        return None if found is None else found.offset

    @in_the_loop
    async def watermarks(self, topic, partition):
        consumer, place = await self._assigned(topic, partition)
        first, end = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
        await consumer.stop()
        return [first[place], end[place]]

    @in_the_loop
    async def long_poll(self, topic, partition, rounds, max_wait_ms):
        consumer, place = await self._assigned(topic, partition, fetch_max_wait_ms=max_wait_ms, fetch_min_bytes=1)
        await consumer.seek_to_end(place)
        latencies = []
        async with AIOKafkaProducer(**self.base, acks="all", linger_ms=0) as producer:
            await producer.partitions_for(topic)
            waiting = asyncio.create_task(receipt(consumer))
            await asyncio.sleep(0.5)
            for _ in range(rounds):
                await asyncio.sleep(0.15)
                await producer.send_and_wait(topic, b"ping", partition=partition)
                sent = time.monotonic()
                latencies.append(max(0.0, await waiting - sent) * 1000)
                waiting = asyncio.create_task(receipt(consumer))
        waiting.cancel()
        await consumer.stop()
        return latencies

    @in_the_loop
    async def group_join(self, group, topic, protocol, session_timeout_ms):
        self.member = AIOKafkaConsumer(
            **self.base,
            group_id=group,
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=500,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await self.member.start()
        self.member.subscribe([topic])
        self.positions = {}
        return {}

    @in_the_loop
    async def group_poll(self, timeout_ms):
        records = []
        deadline = time.monotonic() + timeout_ms / 1000
        while time.monotonic() < deadline:
            records += await poll(self.member, 50)
        for record in records:
            self.positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
        assignment = [place.partition for place in self.member.assignment()]
        return {"assignment": assignment, "records": [received(record) for record in records]}

    @in_the_loop
    async def group_commit(self):
        if self.positions:
            await self.member.commit(self.positions)
        self.positions = {}
        return {}

    @in_the_loop
    async def group_leave(self):
        await self.member.stop()
        self.member = None
        return {}

    async def _admin(self):
        if self.known_admin is None:
            admin = AIOKafkaAdminClient(**self.base)
            await admin.start()
            self.known_admin = admin
        return self.known_admin

    @in_the_loop
    async def create_topic(self, topic, partitions, configs):
        admin = await self._admin()
        wanted = NewTopic(topic, partitions, 1, topic_configs=configs)
        expect_no_error((await admin.create_topics([wanted])).topic_errors)
        return {}

    @in_the_loop
    async def create_partitions(self, topic, total):
        await (await self._admin()).create_partitions({topic: NewPartitions(total)})
        return {}

    @in_the_loop
    async def delete_topic(self, topic):
        expect_no_error((await (await self._admin()).delete_topics([topic])).topic_error_codes)
        return {}

    @in_the_loop
    async def describe_topic(self, topic):
        # Asked for by name the library would have it created.
        for found in await (await self._admin()).describe_topics():
            if found["topic"] == topic:
                return [{"partition": one["partition"], "leader": one["leader"]} for one in found["partitions"]]
        raise VerbError(UNKNOWN_TOPIC, f"{topic} is not among all topics")

    @in_the_loop
    async def list_topics(self):
        return await (await self._admin()).list_topics()

    @in_the_loop
    async def describe_configs(self, topic):
        admin = await self._admin()
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        [(code, message, _, name, configs)] = answer.resources
        expect_no_error([(name, code, message)])
        return {config[0]: config[1] for config in configs}

    @in_the_loop
    async def alter_configs(self, topic, set):
        admin = await self._admin()
        [answer] = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=set)])
        expect_no_error((name, code, message) for code, message, _, name in answer.resources)
        return {}

    @in_the_loop
    async def load_start(self, topic, partitions):
        self.load = Load(self.base, topic, partitions)
        return {}

    def load_status(self):
        return len(self.load.acknowledged)

    @in_the_loop
    async def load_stop(self):
        return await self.load.stop()


async def poll(consumer, timeout_ms, **limits):
    batches = await consumer.getmany(timeout_ms=timeout_ms, **limits)
    return [record for batch in batches.values() for record in batch]


async def receipt(consumer):
    """When the next record came."""
    await consumer.getone()
    return time.monotonic()


class Load:
    def __init__(self, base, topic, partitions):
        self.producer = AIOKafkaProducer(**base, enable_idempotence=True, acks="all", linger_ms=2, request_timeout_ms=120000)
        self.acknowledged, self.failed, self.unanswered, self.stopped = [], [], set(), False
        self.task = asyncio.create_task(self._send(topic, partitions))

    async def _send(self, topic, partitions):
        await self.producer.start()
        number = 0
        while not self.stopped:
            if len(self.unanswered) < UNANSWERED:
                for partition in range(partitions):
                    await self._send_one(topic, partition, number)
                number += 1
            await asyncio.sleep(0.001)
        await self.producer.stop()
        await asyncio.gather(*self.unanswered)

    async def _send_one(self, topic, partition, number):
        future = await self.producer.send(topic, str(number).encode(), partition=partition)
        answer = asyncio.create_task(self._answered(future, partition, number))
        self.unanswered.add(answer)
        answer.add_done_callback(self.unanswered.discard)

    async def _answered(self, future, partition, number):
        try:
            self.acknowledged.append([partition, number, (await future).offset])
        except KafkaError as error:
            self.failed.append(f"{partition}/{number}: {error}")

    async def stop(self):
        self.stopped = True
        await self.task
        return {"acknowledged": self.acknowledged, "failed": self.failed}


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    serve(Verbs(sys.argv[1]), code_of)
