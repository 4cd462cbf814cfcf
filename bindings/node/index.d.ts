/** How a broker is started. */
export interface StartOptions {
  /** Made at the start, each `NAME[:PARTITIONS]`. */
  topics?: readonly string[];
  /** Keys of Kafka's `server.properties`. */
  overrides?: Readonly<Record<string, string | number | boolean>>;
  /** Serves the control API, for `control` and `reset`. */
  testMode?: boolean;
  /** Started instead of what `ONELOG_BIN` or `PATH` name. */
  binary?: string;
  /** How long the start may take; 30 seconds unless it is said. */
  startTimeoutMs?: number;
}

/** A broker of its own for a test, on a free port with its data in memory. */
export class TestBroker {
  private constructor();
  /** Starts a broker; once this resolves it serves. Rejects with the broker's own words. */
  static start(options?: StartOptions): Promise<TestBroker>;
  /** `host:port` for clients. */
  readonly bootstrapServers: string;
  /** Asks the control API, for example `control('GET', '/test/requests?key=produce')`. Rejects with the broker's sentence. */
  control(method: string, path: string, body?: unknown): Promise<any>;
  /** Makes the broker as if it had just been started empty, but for `keepTopics`; says what went. */
  reset(options?: { keepTopics?: readonly string[] }): Promise<any>;
  /** What the broker has said so far; nothing once it is stopped. */
  log(): string;
  /** Stops the broker and waits until it is gone. Harmless when it is stopped already. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
