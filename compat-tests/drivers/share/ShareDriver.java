import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Kafka's share consumer by the line protocol of ../README.md; the verbs are its own and told there. */
public final class ShareDriver {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Map<String, Object> base;
    private KafkaShareConsumer<String, String> consumer;
    private final Map<Long, ConsumerRecord<String, String>> held = new TreeMap<>();

    private ShareDriver(String address) {
        base = Map.of("bootstrap.servers", address);
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        ShareDriver driver = new ShareDriver(arguments[0]);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            Map<String, Object> answer = new HashMap<>();
            try {
                answer.put("ok", driver.answer(JSON.readTree(line)));
            } catch (Exception exception) {
                answer = Map.of("error", describe(exception));
            }
            answers.println(JSON.writeValueAsString(answer));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private Object answer(JsonNode request) throws Exception {
        return switch (request.get("verb").asText()) {
            case "hello" -> "kafka-clients share consumer";
            case "create_topic" -> createTopic(request);
            case "group_config" -> groupConfig(request);
            case "send" -> send(request);
            case "share_open" -> open(request);
            case "share_poll" -> poll(request);
            case "share_acknowledge" -> acknowledge(request);
            case "share_commit" -> commit();
            case "share_close" -> close();
            default -> throw new IllegalArgumentException("this driver has no verb " + request.get("verb"));
        };
    }

    private Object createTopic(JsonNode request) throws Exception {
        try (Admin admin = Admin.create(base)) {
            NewTopic topic = new NewTopic(request.get("topic").asText(), request.get("partitions").asInt(), (short) 1);
            admin.createTopics(List.of(topic)).all().get();
        }
        return Map.of();
    }

    private Object groupConfig(JsonNode request) throws Exception {
        ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, request.get("group").asText());
        List<AlterConfigOp> set = new ArrayList<>();
        request.get("set").fields().forEachRemaining(field -> set.add(new AlterConfigOp(
            new ConfigEntry(field.getKey(), field.getValue().asText()), AlterConfigOp.OpType.SET)));
        try (Admin admin = Admin.create(base)) {
            Map<ConfigResource, Collection<AlterConfigOp>> changes = Map.of(group, set);
            admin.incrementalAlterConfigs(changes).all().get();
        }
        return Map.of();
    }

    private Object send(JsonNode request) throws Exception {
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(base, new StringSerializer(), new StringSerializer())) {
            for (JsonNode value : request.get("values")) {
                int partition = request.get("partition").asInt();
                producer.send(new ProducerRecord<>(request.get("topic").asText(), partition, null, value.asText()));
            }
            producer.flush();
        }
        return Map.of();
    }

    private Object open(JsonNode request) {
        Map<String, Object> config = new HashMap<>(base);
        config.put("group.id", request.get("group").asText());
        config.put("share.acknowledgement.mode", request.get("mode").asText());
        config.put("max.poll.records", request.get("max_poll_records").asInt());
        config.put("share.acquire.mode", request.get("acquire_mode").asText());
        consumer = new KafkaShareConsumer<>(config, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(request.get("topic").asText()));
        return Map.of();
    }

    /** The first records that come, or none. */
    private Object poll(JsonNode request) {
        long deadline = System.nanoTime() + request.get("timeout_ms").asLong() * 1_000_000;
        List<Object> records = new ArrayList<>();
        while (records.isEmpty() && System.nanoTime() < deadline) {
            ConsumerRecords<String, String> polled = consumer.poll(Duration.ofMillis(200));
            for (ConsumerRecord<String, String> record : polled) {
                held.put(place(record.partition(), record.offset()), record);
                records.add(List.of(record.partition(), record.offset(), record.value(),
                    record.deliveryCount().map(count -> (int) count).orElse(0)));
            }
        }
        return records;
    }

    private Object acknowledge(JsonNode request) {
        for (JsonNode said : request.get("said")) {
            ConsumerRecord<String, String> record = held.get(place(said.get(0).asInt(), said.get(1).asLong()));
            consumer.acknowledge(record, AcknowledgeType.valueOf(said.get(2).asText()));
        }
        return Map.of();
    }

    /** The errors. */
    private Object commit() {
        List<String> errors = new ArrayList<>();
        Map<TopicIdPartition, Optional<KafkaException>> outcomes = consumer.commitSync(Duration.ofSeconds(30));
        outcomes.values().forEach(outcome -> outcome.ifPresent(error -> errors.add(error.getClass().getSimpleName())));
        return errors;
    }

    private Object close() {
        consumer.close(Duration.ofSeconds(30));
        return Map.of();
    }

    private static long place(int partition, long offset) {
        return ((long) partition << 48) + offset;
    }

    private static Map<String, Object> describe(Throwable thrown) {
        Map<String, Object> error = new HashMap<>();
        error.put("code", null);
        error.put("message", thrown.toString());
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            if (cause instanceof ApiException) {
                error.put("code", (int) Errors.forException(cause).code());
                error.put("message", cause.toString());
                return error;
            }
        }
        thrown.printStackTrace();
        return error;
    }
}
