"""The order service against a real broker. Set-up is the marker and the fixture's name."""

import json
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from order_service import OrderService

pytestmark = pytest.mark.onelog(topics=["orders:3", "invoices", "orders.rejected"], test_mode=True)


def place(broker, *orders):
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for key, value in orders:
        producer.produce("orders", key=key, value=value)
    assert producer.flush(10) == 0


def order(name, *lines):
    return name, json.dumps({"id": name, "lines": [{"cents": cents, "quantity": count} for cents, count in lines]})


def run(broker, orders):
    service = OrderService(broker.bootstrap_servers)
    deadline = time.monotonic() + 30
    while orders > 0 and time.monotonic() < deadline:
        orders -= service.handle_next(0.1)
    service.close()
    assert orders == 0


def everything_in(broker, topic):
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "test", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    values = []
    while True:
        message = consumer.poll(10)
        assert message is not None
        if message.error() is not None:
            consumer.close()
            return values
        values.append(message.value().decode())


def test_each_order_gets_one_invoice(onelog_broker):
    place(onelog_broker, order("a", (250, 2), (100, 1)), order("b", (999, 1)))
    run(onelog_broker, 2)
    invoices = {invoice["order"]: invoice["cents"] for invoice in map(json.loads, everything_in(onelog_broker, "invoices"))}
    assert invoices == {"a": 600, "b": 999}


def test_what_is_no_order_is_rejected_and_holds_nothing_up(onelog_broker):
    place(onelog_broker, ("x", "no json"), order("free", (0, 1)), order("c", (5, 5)))
    run(onelog_broker, 3)
    assert len(everything_in(onelog_broker, "orders.rejected")) == 2
    assert [json.loads(value) for value in everything_in(onelog_broker, "invoices")] == [{"order": "c", "cents": 25}]


def test_service_that_comes_back_goes_on_where_it_was(onelog_broker):
    place(onelog_broker, order("first", (1, 1)))
    run(onelog_broker, 1)
    place(onelog_broker, order("second", (2, 1)))
    run(onelog_broker, 1)
    assert [json.loads(value)["order"] for value in everything_in(onelog_broker, "invoices")] == ["first", "second"]


def test_invoice_whose_acknowledgement_is_lost_is_written_once(onelog_broker):
    lost = {"keys": ["Produce"], "topic": "invoices", "disconnect": True, "after_apply": True, "count": 1}
    fault = onelog_broker.control("POST", "/test/faults", lost)["id"]
    place(onelog_broker, order("a", (7, 1)))
    run(onelog_broker, 1)
    assert onelog_broker.control("GET", f"/test/faults/{fault}")["hits"] == 1
    assert [json.loads(value) for value in everything_in(onelog_broker, "invoices")] == [{"order": "a", "cents": 7}]
