"""An order service: reads ``orders``, writes an invoice for each to ``invoices``, and puts what is no order into ``orders.rejected``.

An order is committed once its invoice is acknowledged: after a crash it may be invoiced again, but never lost.
"""

import json
from dataclasses import dataclass

from confluent_kafka import Consumer, Producer


@dataclass(frozen=True)
class Invoice:
    order: str
    cents: int


def invoice_for(order: dict) -> Invoice:
    """Raises ``KeyError``, ``TypeError`` or ``ValueError`` when it is no order."""
    cents = sum(line["cents"] * line["quantity"] for line in order["lines"])
    if cents <= 0:
        raise ValueError(f"an order over {cents} cents")
    return Invoice(order["id"], cents)


class OrderService:
    def __init__(self, bootstrap_servers: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "order-service",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        self._consumer.subscribe(["orders"])

    def handle_next(self, timeout: float) -> bool:
        """Handles one order; whether there was one."""
        message = self._consumer.poll(timeout)
        if message is None:
            return False
        if message.error() is not None:
            raise RuntimeError(message.error())
        try:
            invoice = invoice_for(json.loads(message.value()))
            value = json.dumps({"order": invoice.order, "cents": invoice.cents})
            self._producer.produce("invoices", key=message.key(), value=value)
        except (KeyError, TypeError, ValueError):
            self._producer.produce("orders.rejected", key=message.key(), value=message.value())
        if self._producer.flush(10) > 0:
            raise RuntimeError("the invoice was not acknowledged")
        self._consumer.commit(message, asynchronous=False)
        return True

    def close(self) -> None:
        self._consumer.close()
