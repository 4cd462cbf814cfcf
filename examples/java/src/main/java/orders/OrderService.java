package orders;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Reads {@code orders}, writes an invoice for each to {@code invoices}, and puts what is no order into {@code orders.rejected}. An order
 * is committed once its invoice is acknowledged: after a crash it may be invoiced again, but never lost.
 */
public final class OrderService implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final KafkaConsumer<String, String> consumer;
    private final KafkaProducer<String, String> producer;

    public OrderService(String bootstrapServers) {
        Map<String, Object> reading = Map.of("bootstrap.servers", bootstrapServers, "group.id", "order-service",
                "auto.offset.reset", "earliest", "enable.auto.commit", "false");
        consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of("orders"));
        producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrapServers), new StringSerializer(), new StringSerializer());
    }

    /** Waits for orders, handles them and says how many there were. */
    public int handleSome(Duration timeout) throws IOException, ExecutionException, InterruptedException {
        ConsumerRecords<String, String> orders = consumer.poll(timeout);
        List<Future<RecordMetadata>> answers = new ArrayList<>();
        for (ConsumerRecord<String, String> order : orders) {
            Optional<Invoice> invoice = invoiceFor(order.value());
            String topic = invoice.isPresent() ? "invoices" : "orders.rejected";
            String value = invoice.isPresent() ? JSON.writeValueAsString(invoice.get()) : order.value();
            answers.add(producer.send(new ProducerRecord<>(topic, order.key(), value)));
        }
        for (Future<RecordMetadata> answer : answers) {
            answer.get();
        }
        consumer.commitSync();
        return orders.count();
    }

    @Override
    public void close() {
        consumer.close();
        producer.close();
    }

    static Optional<Invoice> invoiceFor(String text) {
        try {
            Order order = JSON.readValue(text, Order.class);
            long cents = order.lines().stream().mapToLong(line -> Math.multiplyExact(line.cents(), line.quantity())).sum();
            return cents > 0 ? Optional.of(new Invoice(order.id(), cents)) : Optional.empty();
        } catch (JsonProcessingException | ArithmeticException | NullPointerException noOrder) {
            return Optional.empty();
        }
    }

    /** What an order costs. */
    public record Invoice(String order, long cents) {}

    record Order(String id, List<Line> lines) {}

    record Line(long cents, long quantity) {}
}
