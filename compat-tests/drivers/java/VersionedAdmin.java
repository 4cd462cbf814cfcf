import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeTopicsResult;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;

/** What some of kafka-clients 2.1 to 4.4 lack or call otherwise; asked for by name, since the driver is compiled with each. */
final class VersionedAdmin {
    private VersionedAdmin() {
    }

    /** {@code allTopicNames} since 3.1, {@code all} before 4.0. */
    static KafkaFuture<Map<String, TopicDescription>> described(DescribeTopicsResult result) throws Exception {
        try {
            return future(call(result, "allTopicNames"));
        } catch (NoSuchMethodException older) {
            return future(call(result, "all"));
        }
    }

    /** Since 2.3. */
    static KafkaFuture<Void> incrementalAlterConfigs(AdminClient admin, ConfigResource resource, Map<String, String> set,
            List<String> deleted) throws Exception {
        Class<?> operation = Class.forName("org.apache.kafka.clients.admin.AlterConfigOp");
        Class<?> type = Class.forName("org.apache.kafka.clients.admin.AlterConfigOp$OpType");
        var constructor = operation.getConstructor(ConfigEntry.class, type);
        Object setting = type.getField("SET").get(null);
        Object deleting = type.getField("DELETE").get(null);
        List<Object> operations = new ArrayList<>();
        for (Map.Entry<String, String> entry : set.entrySet()) {
            operations.add(constructor.newInstance(new ConfigEntry(entry.getKey(), entry.getValue()), setting));
        }
        for (String name : deleted) {
            operations.add(constructor.newInstance(new ConfigEntry(name, null), deleting));
        }
        return alter(admin, "incrementalAlterConfigs", Map.of(resource, operations));
    }

    /** Before 4.0. */
    static KafkaFuture<Void> alterConfigs(AdminClient admin, ConfigResource resource, Map<String, String> set)
            throws Exception {
        Config config = new Config(set.entrySet().stream()
            .map(entry -> new ConfigEntry(entry.getKey(), entry.getValue())).collect(Collectors.toList()));
        return alter(admin, "alterConfigs", Map.of(resource, config));
    }

    private static KafkaFuture<Void> alter(AdminClient admin, String method, Map<ConfigResource, ?> configs)
            throws Exception {
        try {
            return future(call(AdminClient.class.getMethod(method, Map.class).invoke(admin, configs), "all"));
        } catch (InvocationTargetException exception) {
            throw exception.getCause() instanceof Exception cause ? cause : exception;
        }
    }

    private static Object call(Object target, String method) throws Exception {
        return target.getClass().getMethod(method).invoke(target);
    }

    @SuppressWarnings("unchecked")
    private static <T> KafkaFuture<T> future(Object future) {
        return (KafkaFuture<T>) future;
    }
}
