// The order service against a real broker. Set-up is the two lines of `open`.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Kafka, logLevel } from 'kafkajs';
import { TestBroker } from 'onelog';

import { OrderService } from './order-service.js';

async function open(t) {
  const broker = await TestBroker.start({ topics: ['orders:3', 'invoices', 'orders.rejected'], testMode: true });
  t.after(() => broker.stop());
  return { broker, kafka: new Kafka({ brokers: [broker.bootstrapServers], logLevel: logLevel.NOTHING }) };
}

async function place({ kafka }, ...orders) {
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic: 'orders', messages: orders.map((value) => ({ key: value, value })) });
  await producer.disconnect();
}

/** Runs a service until it has handled `orders`. */
async function serve({ broker }, orders) {
  const service = new OrderService(broker.bootstrapServers);
  await new Promise((resolve, reject) => {
    service.run(() => --orders === 0 && resolve()).catch(reject);
  });
  await service.stop();
}

/** The first `count` values of a topic. */
async function first({ kafka }, topic, count) {
  const consumer = kafka.consumer({ groupId: `reader of ${topic}` });
  const values = [];
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await new Promise((resolve, reject) => {
    const eachMessage = async ({ message }) => {
      values.push(message.value.toString());
      if (values.length === count) resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  return values;
}

async function invoices(shop, count) {
  const found = (await first(shop, 'invoices', count)).map((text) => JSON.parse(text));
  return found.sort((left, right) => left.order.localeCompare(right.order));
}

test('each order gets one invoice', { timeout: 30_000 }, async (t) => {
  const shop = await open(t);
  await place(
    shop,
    '{"id":"a","lines":[{"cents":250,"quantity":2},{"cents":100,"quantity":1}]}',
    '{"id":"b","lines":[{"cents":999,"quantity":1}]}',
  );
  await serve(shop, 2);
  assert.deepEqual(await invoices(shop, 2), [{ order: 'a', cents: 600 }, { order: 'b', cents: 999 }]);
});

test('what is no order is rejected and holds nothing up', { timeout: 30_000 }, async (t) => {
  const shop = await open(t);
  await place(shop, 'no json', '{"id":"c","lines":[{"cents":5,"quantity":5}]}');
  await serve(shop, 2);
  assert.deepEqual(await first(shop, 'orders.rejected', 1), ['no json']);
  assert.deepEqual(await invoices(shop, 1), [{ order: 'c', cents: 25 }]);
});

test('a service that comes back goes on where it was', { timeout: 30_000 }, async (t) => {
  const shop = await open(t);
  await place(shop, '{"id":"first","lines":[{"cents":1,"quantity":1}]}');
  await serve(shop, 1);
  await place(shop, '{"id":"second","lines":[{"cents":2,"quantity":1}]}');
  await serve(shop, 1);
  assert.deepEqual(await invoices(shop, 2), [{ order: 'first', cents: 1 }, { order: 'second', cents: 2 }]);
});

test('an invoice whose acknowledgement is lost is written once', { timeout: 30_000 }, async (t) => {
  const shop = await open(t);
  const lost = { keys: ['Produce'], topic: 'invoices', disconnect: true, after_apply: true, count: 1 };
  const { id } = await shop.broker.control('POST', '/test/faults', lost);
  await place(shop, '{"id":"a","lines":[{"cents":7,"quantity":1}]}', '{"id":"b","lines":[{"cents":8,"quantity":1}]}');
  await serve(shop, 2);
  assert.equal((await shop.broker.control('GET', `/test/faults/${id}`)).hits, 1);
  assert.deepEqual(await invoices(shop, 2), [{ order: 'a', cents: 7 }, { order: 'b', cents: 8 }]);
});
