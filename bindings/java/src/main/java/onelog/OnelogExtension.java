package onelog;

import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/**
 * A broker for JUnit 5 tests, given to parameters of type {@link TestBroker}: one per test, or one per class when it is registered in a
 * {@code static} field.
 */
public final class OnelogExtension
        implements BeforeAllCallback, BeforeEachCallback, AfterEachCallback, AfterAllCallback, ParameterResolver {
    private final TestBroker.Settings settings;
    private TestBroker broker;
    private boolean ofClass;

    /** A broker without settings, for {@code @ExtendWith}. */
    public OnelogExtension() {
        this(new TestBroker.Settings());
    }

    private OnelogExtension(TestBroker.Settings settings) {
        this.settings = settings;
    }

    /** A broker with {@code settings}, for {@code @RegisterExtension}. */
    public static OnelogExtension with(TestBroker.Settings settings) {
        return new OnelogExtension(settings);
    }

    /** The running broker. */
    public TestBroker broker() {
        if (broker == null) {
            throw new OnelogException("no broker runs: it is there from before each test until after it");
        }
        return broker;
    }

    @Override
    public void beforeAll(ExtensionContext context) {
        // Called only when it is registered in a static field or by @ExtendWith on the class.
        broker = TestBroker.start(settings);
        ofClass = true;
    }

    @Override
    public void beforeEach(ExtensionContext context) {
        if (!ofClass) {
            broker = TestBroker.start(settings);
        }
    }

    @Override
    public void afterEach(ExtensionContext context) {
        context.getExecutionException().ifPresent(error -> System.err.println("the broker said:\n" + broker().log()));
        if (!ofClass) {
            stop();
        }
    }

    @Override
    public void afterAll(ExtensionContext context) {
        stop();
    }

    private void stop() {
        if (broker != null) {
            broker.close();
            broker = null;
        }
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        return parameter.getParameter().getType() == TestBroker.class;
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        return broker();
    }
}
