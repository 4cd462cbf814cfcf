import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The verbs `produce` and `load_*`. */
final class Producing {
    private static final int UNANSWERED = 2000;

    private final Map<String, Object> base;
    private Load load;

    private Producing(Map<String, Object> base) {
        this.base = base;
    }

    static void addTo(Map<String, Driver.Verb> verbs, Map<String, Object> base) {
        Producing self = new Producing(base);
        verbs.put("produce", self::produce);
        verbs.put("load_start", request -> {
            self.load = new Load(base, request.get("topic").asText(), request.get("partitions").asInt());
            self.load.start();
            return Map.of();
        });
        verbs.put("load_status", request -> self.load.acknowledged.size());
        verbs.put("load_stop", request -> self.load.finish());
    }

    static KafkaProducer<byte[], byte[]> producer(Map<String, Object> config) {
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private Object produce(JsonNode request) throws Exception {
        JsonNode options = request.get("options");
        boolean idempotent = options.get("idempotent").asBoolean();
        Map<String, Object> config = Driver.with(base, "acks", "all", "enable.idempotence", idempotent,
            "linger.ms", idempotent ? 0 : 20, "max.in.flight.requests.per.connection", 5);
        copy(options, "compression", config, "compression.type");
        copy(options, "batch_bytes", config, "batch.size");
        copy(options, "max_request_bytes", config, "max.request.size");
        copy(options, "request_timeout_ms", config, "request.timeout.ms");
        List<Map<String, Object>> deliveries = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(config)) {
            List<Future<RecordMetadata>> futures = new ArrayList<>();
            for (JsonNode record : request.get("records")) {
                futures.add(producer.send(record(record)));
            }
            producer.flush();
            for (Future<RecordMetadata> future : futures) {
                deliveries.add(delivery(future));
            }
        }
        return deliveries;
    }

    private static Map<String, Object> delivery(Future<RecordMetadata> future) throws InterruptedException {
        try {
            RecordMetadata metadata = future.get();
            return Map.of("partition", metadata.partition(), "offset", metadata.offset());
        } catch (ExecutionException exception) {
            return Driver.describe(exception);
        }
    }

    private static void copy(JsonNode options, String option, Map<String, Object> config, String name) {
        if (!options.get(option).isNull()) {
            config.put(name, options.get(option).asText());
        }
    }

    private static ProducerRecord<byte[], byte[]> record(JsonNode record) {
        List<Header> headers = new ArrayList<>();
        for (JsonNode header : record.get("headers")) {
            headers.add(new RecordHeader(header.get(0).asText(), bytes(header.get(1))));
        }
        JsonNode partition = record.get("partition");
        JsonNode timestamp = record.get("timestamp");
        return new ProducerRecord<>(record.get("topic").asText(), partition.isNull() ? null : partition.asInt(),
            timestamp.isNull() ? null : timestamp.asLong(), bytes(record.get("key")), bytes(record.get("value")), headers);
    }

    private static byte[] bytes(JsonNode text) {
        return text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    /** An idempotent producer in the background. */
    private static final class Load extends Thread {
        private final KafkaProducer<byte[], byte[]> producer;
        private final String topic;
        private final int partitions;
        private final AtomicInteger unanswered = new AtomicInteger();
        private final List<List<Long>> acknowledged = Collections.synchronizedList(new ArrayList<>());
        private final List<String> failed = Collections.synchronizedList(new ArrayList<>());
        private volatile boolean stopped;

        Load(Map<String, Object> base, String topic, int partitions) {
            this.topic = topic;
            this.partitions = partitions;
            producer = producer(Driver.with(base, "acks", "all", "enable.idempotence", true, "linger.ms", 2,
                "delivery.timeout.ms", 120_000, "reconnect.backoff.max.ms", 500));
            setDaemon(true);
        }

        @Override
        public void run() {
            for (long number = 0; !stopped; pause()) {
                if (unanswered.get() < UNANSWERED) {
                    for (int partition = 0; partition < partitions; partition++) {
                        send(partition, number);
                    }
                    number++;
                }
            }
            producer.flush();
        }

        private void send(int partition, long number) {
            byte[] value = Long.toString(number).getBytes(StandardCharsets.UTF_8);
            unanswered.incrementAndGet();
            producer.send(new ProducerRecord<>(topic, partition, null, value), (metadata, exception) -> {
                if (exception == null) {
                    acknowledged.add(List.of((long) partition, number, metadata.offset()));
                } else {
                    failed.add(partition + "/" + number + ": " + exception);
                }
                unanswered.decrementAndGet();
            });
        }

        private static void pause() {
            try {
                Thread.sleep(1);
            } catch (InterruptedException exception) {
                Thread.currentThread().interrupt();
            }
        }

        private Object finish() throws InterruptedException {
            stopped = true;
            join();
            return Map.of("acknowledged", acknowledged, "failed", failed);
        }
    }
}
