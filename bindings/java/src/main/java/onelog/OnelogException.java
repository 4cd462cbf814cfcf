package onelog;

/** The broker cannot be found or did not start; says why, in the broker's own words where it has any. */
public final class OnelogException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    OnelogException(String message) {
        super(message);
    }

    OnelogException(String message, Throwable cause) {
        super(message, cause);
    }
}
