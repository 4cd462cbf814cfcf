import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;

/** The admin verbs; one Admin serves them all. */
final class Administering {
    private static final int CALL_SECONDS = 30;

    private final Map<String, Object> base;
    private AdminClient admin;

    private Administering(Map<String, Object> base) {
        this.base = base;
    }

    static void addTo(Map<String, Driver.Verb> verbs, Map<String, Object> base) {
        Administering self = new Administering(base);
        verbs.put("create_topic", self::createTopic);
        verbs.put("describe_topic", self::describeTopic);
        verbs.put("list_topics", request -> get(self.admin().listTopics().names()));
        verbs.put("create_partitions", request -> done(self.admin().createPartitions(
            Map.of(topic(request), NewPartitions.increaseTo(request.get("total").asInt()))).all()));
        verbs.put("delete_topic", request -> done(self.admin().deleteTopics(List.of(topic(request))).all()));
        verbs.put("describe_configs", self::describeConfigs);
        verbs.put("incremental_alter_configs", request -> done(
            VersionedAdmin.incrementalAlterConfigs(self.admin(), resource(request), set(request), deleted(request))));
        verbs.put("alter_configs", request -> done(
            VersionedAdmin.alterConfigs(self.admin(), resource(request), set(request))));
        verbs.put("list_groups", request -> get(self.admin().listConsumerGroups().all()).stream()
            .map(ConsumerGroupListing::groupId).collect(Collectors.toList()));
    }

    private AdminClient admin() {
        if (admin == null) {
            admin = AdminClient.create(base);
        }
        return admin;
    }

    private static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(CALL_SECONDS, TimeUnit.SECONDS);
    }

    private static Object done(KafkaFuture<Void> future) throws Exception {
        get(future);
        return Map.of();
    }

    private static String topic(JsonNode request) {
        return request.get("topic").asText();
    }

    private static ConfigResource resource(JsonNode request) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic(request));
    }

    private Object createTopic(JsonNode request) throws Exception {
        Map<String, String> configs = new HashMap<>();
        request.get("configs").fields().forEachRemaining(entry -> configs.put(entry.getKey(), entry.getValue().asText()));
        NewTopic topic = new NewTopic(topic(request), request.get("partitions").asInt(), (short) 1).configs(configs);
        return done(admin().createTopics(List.of(topic)).all());
    }

    private Object describeTopic(JsonNode request) throws Exception {
        var description = get(VersionedAdmin.described(admin().describeTopics(List.of(topic(request))))).get(topic(request));
        return description.partitions().stream().map(one -> Map.of("partition", one.partition(),
            "leader", one.leader() == null ? -1 : one.leader().id())).toList();
    }

    private Object describeConfigs(JsonNode request) throws Exception {
        Map<String, String> configs = new HashMap<>();
        get(admin().describeConfigs(List.of(resource(request))).all()).get(resource(request)).entries()
            .forEach(entry -> configs.put(entry.name(), entry.value()));
        return configs;
    }

    private static Map<String, String> set(JsonNode request) {
        Map<String, String> configs = new HashMap<>();
        request.get("set").fields().forEachRemaining(entry -> configs.put(entry.getKey(), entry.getValue().asText()));
        return configs;
    }

    private static List<String> deleted(JsonNode request) {
        List<String> names = new ArrayList<>();
        request.get("delete").forEach(name -> names.add(name.asText()));
        return names;
    }
}
