// The package against the binary that ONELOG_BIN names. What a client sees of a broker is tested in examples/node.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { TestBroker } from 'onelog';

function connects(address) {
  const [host, port] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) }, () => resolve(true) || socket.destroy());
    socket.once('error', () => resolve(false));
  });
}

test('a broker serves until it is stopped', async () => {
  const broker = await TestBroker.start({ topics: ['orders:3'], overrides: { 'num.partitions': 2 } });
  assert.ok(await connects(broker.bootstrapServers));
  assert.match(broker.log(), /log opened/);
  await Promise.all([broker.stop(), broker.stop()]);
  await broker.stop();
  assert.equal(await connects(broker.bootstrapServers), false);
});

test('control and reset reach the broker', async (t) => {
  const broker = await TestBroker.start({ topics: ['orders', 'kept'], testMode: true });
  t.after(() => broker.stop());
  assert.deepEqual((await broker.control('GET', '/test/requests?key=produce')).requests, []);
  assert.deepEqual((await broker.reset({ keepTopics: ['kept'] })).topics_deleted, ['orders']);
  assert.deepEqual((await broker.reset()).topics_deleted, ['kept']);
  await assert.rejects(broker.reset({ keepTopics: ['kept'] }), /POST \/test\/reset: .*kept/);
  const plain = await TestBroker.start();
  t.after(() => plain.stop());
  await assert.rejects(plain.reset(), /testMode: true/);
});

test('a disposed broker is stopped', async () => {
  const broker = await TestBroker.start();
  await broker[Symbol.asyncDispose]();
  assert.equal(await connects(broker.bootstrapServers), false);
});

for (const [what, ending] of [
  ['is killed', 'process.kill(process.pid, "SIGKILL")'],
  ['ends without a stop', ''],
]) {
  test(`a broker ends with the process that started it: ${what}`, async () => {
    const code = `import { TestBroker } from 'onelog'; console.log((await TestBroker.start()).bootstrapServers); ${ending}`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8', timeout: 30_000 });
    const address = child.stdout.trim();
    assert.match(address, /^127\.0\.0\.1:\d+$/, child.stderr);
    const deadline = performance.now() + 20_000;
    while (await connects(address)) {
      assert.ok(performance.now() < deadline, 'the broker outlived its parent');
      await pause(10);
    }
  });
}

test('a refused start shows the words of the broker', async () => {
  await assert.rejects(TestBroker.start({ overrides: { 'num.partitions': 'many' } }), /num.partitions is "many"; give a whole number/);
});

test('variables of the test do not configure the broker', async (t) => {
  process.env.KAFKA_NUM_PARTITIONS = 'many';
  t.after(() => delete process.env.KAFKA_NUM_PARTITIONS);
  await (await TestBroker.start()).stop();
});

test('a missing binary is an error that says where it is looked for', async (t) => {
  const { ONELOG_BIN, PATH } = process.env;
  t.after(() => Object.assign(process.env, { ONELOG_BIN, PATH }));
  delete process.env.ONELOG_BIN;
  process.env.PATH = '/dev/null';
  await assert.rejects(TestBroker.start(), /ONELOG_BIN.*PATH/);
  process.env.ONELOG_BIN = '/no/such/onelog';
  await assert.rejects(TestBroker.start(), /ONELOG_BIN is \/no\/such\/onelog, which is no program/);
  await assert.rejects(TestBroker.start({ binary: '/no/such/other' }), /\/no\/such\/other cannot be started/);
});
