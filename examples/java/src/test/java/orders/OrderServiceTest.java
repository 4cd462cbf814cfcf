package orders;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import onelog.OnelogExtension;
import onelog.TestBroker;
import orders.OrderService.Invoice;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The order service against a real broker, a new one for each test. */
class OrderServiceTest {
    private static final long LIMIT_NS = 30_000_000_000L;
    private static final Duration POLL = Duration.ofMillis(100);

    @RegisterExtension
    final OnelogExtension onelog =
            OnelogExtension.with(new TestBroker.Settings().topics("orders:3", "invoices", "orders.rejected").testMode());

    @Test
    void eachOrderGetsOneInvoice(TestBroker broker) throws Exception {
        place(broker, "{'id':'a','lines':[{'cents':250,'quantity':2},{'cents':100,'quantity':1}]}",
                "{'id':'b','lines':[{'cents':999,'quantity':1}]}");
        serve(broker, 2);
        assertEquals(List.of(new Invoice("a", 600), new Invoice("b", 999)), invoices(broker, 2));
    }

    @Test
    void whatIsNoOrderIsRejectedAndHoldsNothingUp(TestBroker broker) throws Exception {
        place(broker, "no json", "{'id':'c','lines':[{'cents':5,'quantity':5}]}");
        serve(broker, 2);
        assertEquals(List.of("no json"), first(broker, "orders.rejected", 1));
        assertEquals(List.of(new Invoice("c", 25)), invoices(broker, 1));
    }

    @Test
    void serviceThatComesBackGoesOnWhereItWas(TestBroker broker) throws Exception {
        place(broker, "{'id':'first','lines':[{'cents':1,'quantity':1}]}");
        serve(broker, 1);
        place(broker, "{'id':'second','lines':[{'cents':2,'quantity':1}]}");
        serve(broker, 1);
        assertEquals(List.of(new Invoice("first", 1), new Invoice("second", 2)), invoices(broker, 2));
    }

    @Test
    void invoiceWhoseAcknowledgementIsLostIsWrittenOnce(TestBroker broker) throws Exception {
        String lost = "{'keys':['Produce'],'topic':'invoices','disconnect':true,'after_apply':true,'count':1}";
        JsonNode made = new ObjectMapper().readTree(broker.control("POST", "/test/faults", lost.replace('\'', '"')));
        place(broker, "{'id':'a','lines':[{'cents':7,'quantity':1}]}", "{'id':'b','lines':[{'cents':8,'quantity':1}]}");
        serve(broker, 2);
        String fault = broker.control("GET", "/test/faults/" + made.get("id").asInt(), "");
        assertEquals(1, new ObjectMapper().readTree(fault).get("hits").asInt(), fault);
        assertEquals(List.of(new Invoice("a", 7), new Invoice("b", 8)), invoices(broker, 2));
    }

    private static void place(TestBroker broker, String... orders) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", broker.bootstrapServers());
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (String order : orders) {
                String value = order.replace('\'', '"');
                producer.send(new ProducerRecord<>("orders", value, value)).get();
            }
        }
    }

    /** Runs a service until it has handled {@code orders}. */
    private static void serve(TestBroker broker, int orders) throws Exception {
        try (OrderService service = new OrderService(broker.bootstrapServers())) {
            long began = System.nanoTime();
            for (int left = orders; left > 0; left -= service.handleSome(POLL)) {
                assertTrue(System.nanoTime() - began < LIMIT_NS, "an order did not come");
            }
        }
    }

    /** The first {@code count} values of a topic of one partition. */
    private static List<String> first(TestBroker broker, String topic, int count) {
        Map<String, Object> settings = Map.of("bootstrap.servers", broker.bootstrapServers());
        List<String> values = new ArrayList<>();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            List<TopicPartition> partitions = List.of(new TopicPartition(topic, 0));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long began = System.nanoTime();
            while (values.size() < count) {
                assertTrue(System.nanoTime() - began < LIMIT_NS, "a record did not come");
                consumer.poll(POLL).forEach(record -> values.add(record.value()));
            }
        }
        return values;
    }

    private static List<Invoice> invoices(TestBroker broker, int count) throws Exception {
        List<Invoice> invoices = new ArrayList<>();
        for (String text : first(broker, "invoices", count)) {
            invoices.add(new ObjectMapper().readValue(text, Invoice.class));
        }
        invoices.sort(Comparator.comparing(Invoice::order));
        return invoices;
    }
}
