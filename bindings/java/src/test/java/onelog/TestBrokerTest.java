package onelog;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.Socket;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The driver against the binary that ONELOG_BIN names. What a client sees of a broker is tested in examples/java. */
class TestBrokerTest {
    static boolean connects(String address) {
        String[] parts = address.split(":");
        try (Socket socket = new Socket(parts[0], Integer.parseInt(parts[1]))) {
            return socket.isConnected();
        } catch (IOException refused) {
            return false;
        }
    }

    @Test
    void brokerServesUntilItIsClosed() {
        TestBroker broker = TestBroker.start(new TestBroker.Settings().topics("orders:3").override("num.partitions", 2));
        assertTrue(connects(broker.bootstrapServers()));
        assertTrue(broker.log().contains("log opened"), broker.log());
        broker.close();
        broker.close();
        assertFalse(connects(broker.bootstrapServers()));
    }

    @Test
    void controlAndResetReachTheBroker() {
        TestBroker.Settings settings = new TestBroker.Settings().topics("orders", "kept").testMode();
        try (TestBroker broker = TestBroker.start(settings); TestBroker plain = TestBroker.start()) {
            String requests = broker.control("GET", "/test/requests?key=produce", "");
            assertTrue(requests.contains("\"requests\":[]"), requests);
            assertTrue(broker.reset("kept").contains("\"topics_deleted\":[\"orders\"]"));
            assertTrue(broker.reset().contains("\"topics_deleted\":[\"kept\"]"));
            String words = assertThrows(OnelogException.class, () -> broker.reset("kept")).getMessage();
            assertTrue(words.startsWith("POST /test/reset: ") && words.contains("kept"), words);
            words = assertThrows(OnelogException.class, plain::reset).getMessage();
            assertTrue(words.contains("testMode()"), words);
        }
    }

    @Test
    void twoBrokersHaveTheirOwnPorts() {
        try (TestBroker first = TestBroker.start(); TestBroker second = TestBroker.start()) {
            assertNotEquals(first.bootstrapServers(), second.bootstrapServers());
        }
    }

    @Test
    void brokerEndsWithTheProcessThatStartedIt() throws Exception {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        String classPath = System.getProperty("java.class.path");
        Process child = new ProcessBuilder(java, "-cp", classPath, Child.class.getName())
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String address;
        try (BufferedReader lines = child.inputReader()) {
            address = lines.readLine();
        }
        assertNotEquals(0, child.waitFor());
        long began = System.nanoTime();
        while (connects(address)) {
            assertTrue(System.nanoTime() - began < 20_000_000_000L, "the broker outlived its parent");
            Thread.sleep(10);
        }
    }

    /** Dies without a word to its broker. */
    static final class Child {
        public static void main(String[] arguments) {
            System.out.println(TestBroker.start().bootstrapServers());
            Runtime.getRuntime().halt(9);
        }
    }

    @Test
    void refusedStartShowsTheWordsOfTheBroker() {
        TestBroker.Settings settings = new TestBroker.Settings().override("num.partitions", "many");
        String words = assertThrows(OnelogException.class, () -> TestBroker.start(settings)).getMessage();
        assertTrue(words.contains("num.partitions is \"many\"; give a whole number"), words);
    }

    @Test
    void missingBinaryIsAnErrorThatSaysWhereItIsLookedFor() {
        String words = assertThrows(OnelogException.class, () -> TestBroker.findBinary(null, "/dev/null")).getMessage();
        assertTrue(words.contains("ONELOG_BIN") && words.contains("PATH"), words);
        words = assertThrows(OnelogException.class, () -> TestBroker.findBinary("/no/such/onelog", null)).getMessage();
        assertEquals("ONELOG_BIN is /no/such/onelog, which is no program", words);
        TestBroker.Settings settings = new TestBroker.Settings().binary("/no/such/other");
        words = assertThrows(OnelogException.class, () -> TestBroker.start(settings)).getMessage();
        assertTrue(words.startsWith("/no/such/other cannot be started"), words);
    }
}
