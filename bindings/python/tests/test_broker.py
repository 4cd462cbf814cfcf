"""The package as installed, with a real client."""

import os
import socket
import subprocess
import sys
import time

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from onelog import BrokerError, TestBroker


def connects(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
        return True
    except OSError:
        return False


@pytest.mark.onelog(topics=["greetings:3"], overrides={"auto.create.topics.enable": False})
def test_what_is_produced_is_consumed(onelog_broker):
    producer = Producer({"bootstrap.servers": onelog_broker.bootstrap_servers, "acks": "all"})
    for number in range(100):
        producer.produce("greetings", key=str(number), value=f"hello {number}")
    assert producer.flush(30) == 0
    consumer = Consumer(
        {
            "bootstrap.servers": onelog_broker.bootstrap_servers,
            "group.id": "readers",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["greetings"])
    values = set()
    deadline = time.monotonic() + 30
    while len(values) < 100 and time.monotonic() < deadline:
        values |= {message.value().decode() for message in consumer.consume(100, 1.0)}
    consumer.close()
    assert values == {f"hello {number}" for number in range(100)}
    topics = AdminClient({"bootstrap.servers": onelog_broker.bootstrap_servers}).list_topics(timeout=10).topics
    assert len(topics["greetings"].partitions) == 3


@pytest.mark.onelog(topics=["orders", "kept"], test_mode=True)
def test_control_shows_what_was_sent_and_reset_empties_the_broker(onelog_broker):
    producer = Producer({"bootstrap.servers": onelog_broker.bootstrap_servers, "client.id": "shop"})
    producer.produce("orders", "first")
    assert producer.flush(10) == 0
    requests = onelog_broker.control("GET", "/test/requests?key=produce")["requests"]
    assert [(request["client_id"], request["topics"][0]["topic"]) for request in requests] == [("shop", "orders")]
    assert onelog_broker.reset(keep_topics=["kept"])["topics_deleted"] == ["orders"]
    assert onelog_broker.control("GET", "/test/requests?key=produce")["requests"] == []
    admin = AdminClient({"bootstrap.servers": onelog_broker.bootstrap_servers})
    assert set(admin.list_topics(timeout=10).topics) == {"kept"}


def test_refused_control_raises_the_sentence_of_the_broker(onelog_broker):
    with pytest.raises(BrokerError, match="test_mode=True"):
        onelog_broker.reset()
    with TestBroker(test_mode=True) as broker, pytest.raises(BrokerError, match="no-such"):
        broker.reset(keep_topics=["no-such"])


def test_two_brokers_have_nothing_in_common():
    with TestBroker(topics=["a"]) as first, TestBroker(topics=["b"]) as second:
        assert first.bootstrap_servers != second.bootstrap_servers
        admin = AdminClient({"bootstrap.servers": second.bootstrap_servers})
        assert set(admin.list_topics(timeout=10).topics) == {"b"}


def test_stopped_broker_is_gone():
    broker = TestBroker().start()
    address = broker.bootstrap_servers
    assert connects(address) and "log opened" in broker.log()
    broker.stop()
    broker.stop()
    assert not connects(address)
    with pytest.raises(BrokerError, match="not running"):
        broker.bootstrap_servers


def test_broker_ends_with_the_process_that_started_it():
    code = "from onelog import TestBroker; import os; print(TestBroker().start().bootstrap_servers, flush=True); os.kill(os.getpid(), 9)"
    address = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()
    assert address.startswith("127.0.0.1:")
    deadline = time.monotonic() + 20
    while connects(address):
        assert time.monotonic() < deadline, "the broker outlived its parent"
        time.sleep(0.01)


def test_refused_start_shows_the_words_of_the_broker():
    with pytest.raises(BrokerError, match='num.partitions is "many"; give a whole number'):
        TestBroker(overrides={"num.partitions": "many"}).start()


def test_variables_of_the_test_do_not_configure_the_broker(monkeypatch):
    monkeypatch.setenv("KAFKA_NUM_PARTITIONS", "many")
    TestBroker().start().stop()


def test_missing_binary_is_an_error_that_says_where_it_is_looked_for(monkeypatch):
    monkeypatch.delenv("ONELOG_BIN")
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(BrokerError, match="ONELOG_BIN.*PATH"):
        TestBroker().start()
    monkeypatch.setenv("ONELOG_BIN", "/no/such/onelog")
    with pytest.raises(BrokerError, match="/no/such/onelog, which is no program"):
        TestBroker().start()
    with pytest.raises(BrokerError, match="/no/such/other cannot be started"):
        TestBroker(binary="/no/such/other").start()
