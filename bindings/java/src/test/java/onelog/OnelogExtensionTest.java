package onelog;

import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.extension.RegisterExtension;

/** How long a broker lives, by where the extension is registered. */
class OnelogExtensionTest {
    @Nested
    class InAField {
        private static String before = "";

        @RegisterExtension
        final OnelogExtension onelog = OnelogExtension.with(new TestBroker.Settings().topics("a"));

        @RepeatedTest(2)
        void eachTestHasItsOwnBroker(TestBroker broker) {
            assertSame(broker, onelog.broker());
            assertTrue(TestBrokerTest.connects(broker.bootstrapServers()));
            assertNotEquals(before, broker.bootstrapServers());
            before = broker.bootstrapServers();
        }
    }

    @Nested
    class InAStaticField {
        private static TestBroker before;

        @RegisterExtension
        static final OnelogExtension ONELOG = new OnelogExtension();

        @RepeatedTest(2)
        void allTestsShareABroker(TestBroker broker) {
            assertTrue(TestBrokerTest.connects(broker.bootstrapServers()));
            assertTrue(before == null || before == broker);
            before = broker;
        }
    }
}
