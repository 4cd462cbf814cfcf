"""A Kafka-protocol broker for tests: a thin driver of the ``onelog`` binary."""

from .broker import BrokerError, TestBroker

__all__ = ["BrokerError", "TestBroker"]
