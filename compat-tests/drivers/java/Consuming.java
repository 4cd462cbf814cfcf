import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** The verbs that read: by hand from a place, by time, waiting at the end, and as a member of a group. */
final class Consuming {
    private static final int CALL_SECONDS = 30;

    private final Map<String, Object> base;
    private final Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
    private KafkaConsumer<byte[], byte[]> member;

    private Consuming(Map<String, Object> base) {
        this.base = base;
    }

    static void addTo(Map<String, Driver.Verb> verbs, Map<String, Object> base) {
        Consuming self = new Consuming(base);
        verbs.put("consume", self::consume);
        verbs.put("offset_for_time", self::offsetForTime);
        verbs.put("watermarks", self::watermarks);
        verbs.put("long_poll", self::longPoll);
        verbs.put("group_join", self::join);
        verbs.put("group_poll", self::poll);
        verbs.put("group_commit", self::commit);
        verbs.put("group_leave", self::leave);
    }

    private KafkaConsumer<byte[], byte[]> consumer(Object... namesAndValues) {
        Map<String, Object> config = Driver.with(base, namesAndValues);
        config.put("enable.auto.commit", false);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static TopicPartition place(JsonNode request) {
        return new TopicPartition(request.get("topic").asText(), request.get("partition").asInt());
    }

    private Object consume(JsonNode request) {
        int count = request.get("count").asInt();
        long deadline = System.nanoTime() + request.get("timeout_ms").asLong() * 1_000_000;
        List<Object> records = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer("auto.offset.reset", "none")) {
            consumer.assign(List.of(place(request)));
            consumer.seek(place(request), request.get("offset").asLong());
            while (records.size() < count && System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(100)).forEach(record -> records.add(received(record)));
            }
        }
        return records.subList(0, Math.min(count, records.size()));
    }

    private Object offsetForTime(JsonNode request) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            Map<TopicPartition, Long> asked = Map.of(place(request), request.get("timestamp").asLong());
            OffsetAndTimestamp found = consumer.offsetsForTimes(asked).get(place(request));
            return found == null ? null : found.offset();
        }
    }

    private Object watermarks(JsonNode request) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            List<TopicPartition> places = List.of(place(request));
            return List.of(consumer.beginningOffsets(places).get(place(request)),
                consumer.endOffsets(places).get(place(request)));
        }
    }

    private Object longPoll(JsonNode request) throws Exception {
        TopicPartition place = place(request);
        BlockingQueue<Long> receipts = new LinkedBlockingQueue<>();
        KafkaConsumer<byte[], byte[]> consumer =
            consumer("fetch.max.wait.ms", request.get("max_wait_ms").asInt(), "fetch.min.bytes", 1);
        consumer.assign(List.of(place));
        consumer.seekToEnd(List.of(place));
        consumer.position(place);
        Thread receiver = new Thread(() -> {
            while (true) {
                consumer.poll(Duration.ofMillis(500)).forEach(record -> receipts.add(System.nanoTime()));
            }
        });
        receiver.setDaemon(true);
        receiver.start();
        List<Double> latencies = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = Producing.producer(Driver.with(base, "acks", "all", "linger.ms", 0))) {
            producer.partitionsFor(place.topic());
            for (int round = 0; round < request.get("rounds").asInt(); round++) {
                Thread.sleep(150);
                producer.send(new ProducerRecord<>(place.topic(), place.partition(), null, new byte[] {1})).get();
                long acknowledged = System.nanoTime();
                Long received = receipts.poll(CALL_SECONDS, TimeUnit.SECONDS);
                if (received == null) {
                    throw new IllegalStateException("a record was acknowledged and not received");
                }
                latencies.add(Math.max(0, received - acknowledged) / 1e6);
            }
        }
        return latencies;
    }

    private Object join(JsonNode request) {
        String protocol = request.get("protocol").asText();
        List<Object> config = new ArrayList<>(List.of("group.id", request.get("group").asText(),
            "auto.offset.reset", "earliest", "group.protocol", protocol));
        if (protocol.equals("classic")) {
            config.addAll(List.of("session.timeout.ms", request.get("session_timeout_ms").asInt(),
                "heartbeat.interval.ms", 500));
        }
        member = consumer(config.toArray());
        positions.clear();
        member.subscribe(List.of(request.get("topic").asText()));
        return Map.of();
    }

    private Object poll(JsonNode request) {
        List<Object> records = new ArrayList<>();
        long deadline = System.nanoTime() + request.get("timeout_ms").asLong() * 1_000_000;
        while (System.nanoTime() < deadline) {
            member.poll(Duration.ofMillis(50)).forEach(record -> {
                TopicPartition place = new TopicPartition(record.topic(), record.partition());
                positions.put(place, new OffsetAndMetadata(record.offset() + 1));
                records.add(received(record));
            });
        }
        List<Integer> assignment = member.assignment().stream().map(TopicPartition::partition).toList();
        return Map.of("assignment", assignment, "records", records);
    }

    private Object commit(JsonNode request) {
        member.commitSync(positions, Duration.ofSeconds(CALL_SECONDS));
        positions.clear();
        return Map.of();
    }

    private Object leave(JsonNode request) {
        // A dynamic member leaves its group when it is closed, in every version.
        member.close();
        member = null;
        return Map.of();
    }

    private static Map<String, Object> received(ConsumerRecord<byte[], byte[]> record) {
        List<Object> headers = new ArrayList<>();
        for (Header header : record.headers()) {
            List<Object> pair = new ArrayList<>();
            pair.add(header.key());
            pair.add(text(header.value()));
            headers.add(pair);
        }
        Map<String, Object> received = new LinkedHashMap<>();
        received.put("partition", record.partition());
        received.put("offset", record.offset());
        received.put("timestamp", record.timestamp());
        received.put("key", text(record.key()));
        received.put("value", text(record.value()));
        received.put("headers", headers);
        return received;
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
