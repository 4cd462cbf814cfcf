import java.io.*;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.*;

/**
 * A transactional producer that is told by lines on its standard input what to do: {@code open ID TIMEOUT}, {@code begin},
 * {@code send PARTITION TEXT}, {@code flush}, {@code commit}, {@code abort}. {@code open} takes the place of the producer before
 * without a word to the broker. Arguments: the broker's address, the topic.
 *
 * Each is answered by one line: {@code ok}, {@code again} (the same call may be repeated), {@code abort} (the transaction must be
 * aborted) or {@code dead}, with the error's text. Lines {@code stored OFFSET TEXT} may come before it.
 */
public final class Teller {
    private final String address;
    private final String topic;
    private final PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
    private Producer<byte[], String> producer;

    private Teller(String address, String topic) {
        this.address = address;
        this.topic = topic;
    }

    public static void main(String[] arguments) throws IOException {
        Teller teller = new Teller(arguments[0], arguments[1]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            teller.answer(line.split(" ", 3));
        }
        Runtime.getRuntime().halt(0);
    }

    private void answer(String[] words) {
        String answer;
        try {
            carryOut(words);
            answer = "ok";
        } catch (TimeoutException | InterruptException error) {
            answer = "again " + error.getMessage();
        } catch (ProducerFencedException | InvalidProducerEpochException | OutOfOrderSequenceException | AuthorizationException
                | IllegalStateException error) {
            answer = "dead " + error;
        } catch (KafkaException error) {
            answer = "abort " + error;
        }
        say(answer.replace('\n', ' '));
    }

    private void carryOut(String[] words) {
        switch (words[0]) {
            case "open" -> open(words[1], words[2]);
            case "init" -> producer.initTransactions();
            case "begin" -> producer.beginTransaction();
            case "send" -> producer.send(new ProducerRecord<>(topic, Integer.valueOf(words[1]), null, words[2]), (stored, error) -> {
                if (error == null && stored.hasOffset()) say("stored " + stored.offset() + " " + words[2]);
            });
            case "flush" -> producer.flush();
            case "commit" -> producer.commitTransaction();
            case "abort" -> producer.abortTransaction();
            default -> throw new IllegalStateException("no such call: " + words[0]);
        }
    }

    private void open(String id, String timeout) {
        if (producer != null) producer.close(Duration.ZERO);
        Map<String, Object> config = new HashMap<>(Map.of(
            "bootstrap.servers", address,
            "transactional.id", id,
            "transaction.timeout.ms", timeout,
            "delivery.timeout.ms", timeout,
            "request.timeout.ms", "1500",
            "max.block.ms", "5000",
            "linger.ms", "0",
            "reconnect.backoff.ms", "5",
            "reconnect.backoff.max.ms", "50",
            "retry.backoff.ms", "20"));
        config.put("key.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        config.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        producer = new KafkaProducer<>(config);
    }

    private synchronized void say(String line) {
        out.println(line);
    }
}
