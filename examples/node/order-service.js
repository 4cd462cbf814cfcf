// An order service: reads `orders`, writes an invoice for each to `invoices`, and puts what is no order into `orders.rejected`.
//
// An order is committed once its invoice is acknowledged: after a crash it may be invoiced again, but never lost.

import { Kafka, logLevel } from 'kafkajs';

/** `undefined` when `text` is no order. */
function invoiceFor(text) {
  try {
    const { id, lines } = JSON.parse(text);
    const cents = lines.reduce((sum, line) => sum + line.cents * line.quantity, 0);
    return cents > 0 ? { order: id, cents } : undefined;
  } catch {
    return undefined;
  }
}

export class OrderService {
  constructor(bootstrapServers) {
    const kafka = new Kafka({ brokers: [bootstrapServers], logLevel: logLevel.NOTHING });
    this.producer = kafka.producer({ idempotent: true });
    this.consumer = kafka.consumer({ groupId: 'order-service' });
  }

  /** Serves until `stop`. `handled` is called after each order. */
  async run(handled = () => {}) {
    await this.producer.connect();
    await this.consumer.connect();
    await this.consumer.subscribe({ topics: ['orders'], fromBeginning: true });
    await this.consumer.run({
      autoCommit: false,
      eachMessage: async ({ topic, partition, message }) => {
        const invoice = invoiceFor(message.value.toString());
        await this.producer.send({
          topic: invoice ? 'invoices' : 'orders.rejected',
          messages: [{ key: message.key, value: invoice ? JSON.stringify(invoice) : message.value }],
        });
        const next = (BigInt(message.offset) + 1n).toString();
        await this.consumer.commitOffsets([{ topic, partition, offset: next }]);
        handled();
      },
    });
  }

  async stop() {
    await this.consumer.disconnect();
    await this.producer.disconnect();
  }
}
