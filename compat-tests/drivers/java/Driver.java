import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.protocol.Errors;

/** The driver of kafka-clients: the line protocol of ../README.md. Producing, Consuming and Administering hold the verbs. */
public final class Driver {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Driver() {
    }

    interface Verb {
        Object answer(JsonNode request) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        // A library that prints must not tear the protocol.
        System.setOut(System.err);
        Map<String, Object> base = Map.of("bootstrap.servers", arguments[0]);
        Map<String, Verb> verbs = new HashMap<>();
        verbs.put("hello", request -> "kafka-clients " + version());
        Producing.addTo(verbs, base);
        Consuming.addTo(verbs, base);
        Administering.addTo(verbs, base);

        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            answers.println(JSON.writeValueAsString(answer(verbs, JSON.readTree(line))));
            answers.flush();
        }
        // Clients that are still open have threads of their own.
        Runtime.getRuntime().halt(0);
    }

    private static Map<String, Object> answer(Map<String, Verb> verbs, JsonNode request) {
        try {
            Verb verb = verbs.get(request.get("verb").asText());
            if (verb == null) {
                throw new IllegalArgumentException("this driver has no verb " + request.get("verb"));
            }
            Map<String, Object> answer = new HashMap<>();
            answer.put("ok", verb.answer(request));
            return answer;
        } catch (Exception exception) {
            return Map.of("error", describe(exception));
        }
    }

    /** The error as Kafka's code and the client's words; Java wraps it at will. */
    static Map<String, Object> describe(Throwable thrown) {
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            if (cause instanceof ApiException) {
                Map<String, Object> error = new LinkedHashMap<>();
                error.put("code", (int) Errors.forException(cause).code());
                error.put("message", cause.toString());
                return error;
            }
        }
        thrown.printStackTrace();
        Map<String, Object> error = new LinkedHashMap<>();
        error.put("code", null);
        error.put("message", thrown.toString());
        return error;
    }

    private static String version() throws IOException {
        Properties properties = new Properties();
        try (InputStream file = Driver.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            properties.load(file);
        }
        return properties.getProperty("version");
    }

    static Map<String, Object> with(Map<String, Object> base, Object... namesAndValues) {
        Map<String, Object> config = new HashMap<>(base);
        for (int i = 0; i < namesAndValues.length; i += 2) {
            config.put((String) namesAndValues[i], namesAndValues[i + 1]);
        }
        return config;
    }
}
