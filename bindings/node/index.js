// A Kafka-protocol broker for tests: a thin driver of the `onelog` binary. Each broker is a process of its own that ends with the
// one that started it, whatever ends that, and leaves nothing behind.

import { spawn } from 'node:child_process';
import { accessSync, closeSync, constants, existsSync, fstatSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const STOP_LIMIT_MS = 10_000;

Symbol.asyncDispose ??= Symbol('Symbol.asyncDispose');

export class TestBroker {
  #address;
  #admin;
  #process;
  #ended;
  #log;

  /** Use `TestBroker.start`. */
  constructor(key, process, log) {
    if (key !== STARTED) throw new TypeError('use await TestBroker.start()');
    this.#process = process;
    this.#log = log;
    this.#ended = new Promise((resolve) => {
      process.once('error', (error) => resolve({ error }));
      process.once('exit', (code, signal) => resolve({ status: signal ?? code }));
    });
  }

  static async start({ topics = [], overrides = {}, testMode = false, binary = findBinary(), startTimeoutMs = 30_000 } = {}) {
    // The folder goes as soon as the broker serves, so that nothing can leave it behind; the log stays readable.
    const folder = mkdtempSync(join(tmpdir(), 'onelog-'));
    try {
      const ready = join(folder, 'ready');
      const output = openSync(join(folder, 'log'), 'a+');
      const process = spawn(binary, commandLine(ready, topics, overrides, testMode), {
        stdio: ['ignore', 'ignore', output],
        env: environment(),
        // A group of its own: Ctrl-C at the terminal is for the tests, which then stop the broker.
        detached: true,
      });
      const broker = new TestBroker(STARTED, process, output);
      try {
        const [address, ...more] = await broker.#ready(binary, ready, startTimeoutMs);
        broker.#address = address;
        if (testMode) broker.#admin = more.find((line) => line.startsWith('admin '))?.slice('admin '.length);
      } catch (error) {
        await broker.stop();
        throw error;
      }
      // A test that forgets to stop its broker ends all the same, and its broker with it.
      process.unref();
      return broker;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  get bootstrapServers() {
    return this.#address;
  }

  async control(method, path, body) {
    if (this.#admin === undefined) throw new Error('the control API is not served: start the broker with { testMode: true }');
    const answer = await fetch(`http://${this.#admin}${path}`, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { connection: 'close' },
    });
    const content = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${content.error}`);
    return content;
  }

  reset({ keepTopics = [] } = {}) {
    return this.control('POST', '/test/reset', { keep_topics: keepTopics });
  }

  log() {
    if (this.#log === undefined) return '';
    const bytes = Buffer.alloc(fstatSync(this.#log).size);
    const length = readSync(this.#log, bytes, 0, bytes.length, 0);
    return bytes.toString('utf8', 0, length);
  }

  async stop() {
    if (this.#log === undefined) return;
    const process = this.#process;
    process.ref();
    process.kill('SIGTERM');
    const kill = setTimeout(() => process.kill('SIGKILL'), STOP_LIMIT_MS);
    await this.#ended;
    clearTimeout(kill);
    if (this.#log !== undefined) closeSync(this.#log);
    this.#log = undefined;
  }

  async [Symbol.asyncDispose]() {
    await this.stop();
  }

  async #ready(binary, ready, limitMs) {
    const deadline = performance.now() + limitMs;
    while (!existsSync(ready)) {
      const ended = await Promise.race([this.#ended, pause(2)]);
      if (ended?.error) throw new Error(`${binary} cannot be started: ${ended.error.message}`);
      if (ended) throw new Error(`${binary} ended at its start with ${ended.status}:\n${this.log()}`);
      if (performance.now() > deadline) throw new Error(`${binary} does not serve after ${limitMs} ms:\n${this.log()}`);
    }
    return readFileSync(ready, 'utf8').split('\n');
  }
}

const STARTED = Symbol('started');

/** What `ONELOG_BIN` names, else `onelog` in `PATH`. */
function findBinary() {
  const named = process.env.ONELOG_BIN;
  if (named) {
    if (!isProgram(named)) throw new Error(`ONELOG_BIN is ${named}, which is no program`);
    return named;
  }
  const files = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'onelog'));
  const found = files.find(isProgram);
  if (found === undefined) {
    throw new Error(
      'no onelog binary: set ONELOG_BIN to its path, or put `onelog` in a folder of PATH ' +
        '(build it with `cargo build --release --bin onelog`)',
    );
  }
  return found;
}

function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function commandLine(ready, topics, overrides, testMode) {
  const line = ['dev', '--ready-file', ready];
  if (topics.length > 0) line.push('--topics', topics.join(','));
  if (testMode) line.push('--test-mode');
  for (const [key, value] of Object.entries(overrides)) line.push('--override', `${key}=${value}`);
  return line;
}

/** That of this process without the variables that would configure the broker. */
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('KAFKA_')));
}
