package onelog;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A Kafka-protocol broker of its own for a test, on a free port with its data in memory: a process of the {@code onelog} binary. It
 * ends with the process that started it, whatever ends that, and leaves nothing behind.
 */
public final class TestBroker implements AutoCloseable {
    private static final int STOP_LIMIT_SECONDS = 10;
    private static final int PAUSE_MS = 2;
    private static final Duration CONTROL_LIMIT = Duration.ofSeconds(60);

    private final String bootstrapServers;
    private final String admin;
    private final Process process;
    private final RandomAccessFile log;

    private TestBroker(String bootstrapServers, String admin, Process process, RandomAccessFile log) {
        this.bootstrapServers = bootstrapServers;
        this.admin = admin;
        this.process = process;
        this.log = log;
    }

    /** Starts a broker; on return it serves. */
    public static TestBroker start() {
        return start(new Settings());
    }

    /**
     * Starts a broker; on return it serves.
     *
     * @throws OnelogException with the broker's own words
     */
    public static TestBroker start(Settings settings) {
        String binary = settings.binary != null ? settings.binary : findBinary(System.getenv("ONELOG_BIN"), System.getenv("PATH"));
        Path folder = null;
        try {
            // The folder goes as soon as the broker serves, so that nothing can leave it behind; the log stays readable.
            folder = Files.createTempDirectory("onelog-");
            return start(settings, binary, folder.resolve("ready"), folder.resolve("log").toFile());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } finally {
            if (folder != null) {
                for (String name : List.of("ready", "ready.tmp", "log", "")) {
                    folder.resolve(name).toFile().delete();
                }
            }
        }
    }

    private static TestBroker start(Settings settings, String binary, Path ready, File log) throws IOException {
        ProcessBuilder command = new ProcessBuilder(settings.commandLine(binary, ready));
        command.redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(log);
        // What configures the program under test must not configure the broker.
        command.environment().keySet().removeIf(name -> name.startsWith("KAFKA_"));
        Process process;
        try {
            process = command.start();
        } catch (IOException error) {
            throw new OnelogException(binary + " cannot be started: " + error.getMessage(), error);
        }
        RandomAccessFile words = new RandomAccessFile(log, "r");
        try {
            process.getOutputStream().close();
            List<String> lines = waitUntilReady(settings, binary, ready, process, words);
            Stream<String> admin = lines.stream().filter(line -> settings.testMode && line.startsWith("admin "));
            String adminAddress = admin.map(line -> line.substring("admin ".length())).findFirst().orElse(null);
            return new TestBroker(lines.get(0), adminAddress, process, words);
        } catch (IOException | RuntimeException error) {
            stop(process);
            words.close();
            throw error;
        }
    }

    private static List<String> waitUntilReady(Settings settings, String binary, Path ready, Process process, RandomAccessFile log)
            throws IOException {
        long began = System.nanoTime();
        while (!Files.exists(ready)) {
            if (!process.isAlive()) {
                throw new OnelogException(binary + " ended at its start with status " + process.exitValue() + ":\n" + read(log));
            }
            if (System.nanoTime() - began > settings.startTimeout.toNanos()) {
                throw new OnelogException(
                        binary + " does not serve after " + settings.startTimeout.toMillis() + " ms:\n" + read(log));
            }
            try {
                Thread.sleep(PAUSE_MS);
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
                throw new OnelogException("interrupted while " + binary + " started", error);
            }
        }
        return Files.readAllLines(ready);
    }

    /** {@code host:port} for clients. */
    public String bootstrapServers() {
        return bootstrapServers;
    }

    /**
     * Asks the control API, for example {@code control("GET", "/test/requests?key=produce", "")}.
     *
     * @param body JSON, or empty
     * @return JSON
     * @throws OnelogException with the broker's answer when it refuses, or when it was not started in test mode
     */
    public String control(String method, String path, String body) {
        if (admin == null) {
            throw new OnelogException("the control API is not served: start the broker with Settings.testMode()");
        }
        // The broker is on this machine: no proxy.
        HttpClient client = HttpClient.newBuilder().proxy(HttpClient.Builder.NO_PROXY).version(HttpClient.Version.HTTP_1_1).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + admin + path)).timeout(CONTROL_LIMIT)
                .method(method, HttpRequest.BodyPublishers.ofString(body)).build();
        try {
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new OnelogException(method + " " + path + ": " + answer.body());
            }
            return answer.body();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new OnelogException("interrupted while " + method + " " + path + " was asked", error);
        }
    }

    /** Makes the broker as if it had just been started empty, but for {@code keepTopics}; what went, as JSON. */
    public String reset(String... keepTopics) {
        // Names of topics have no character that JSON escapes.
        String names = Stream.of(keepTopics).map(name -> '"' + name + '"').collect(Collectors.joining(","));
        return control("POST", "/test/reset", "{\"keep_topics\":[" + names + "]}");
    }

    /** What the broker has said so far; nothing once it is closed. */
    public String log() {
        try {
            return read(log);
        } catch (IOException closed) {
            return "";
        }
    }

    /** Stops the broker and waits until it is gone. Harmless when it is stopped already. */
    @Override
    public void close() {
        stop(process);
        try {
            log.close();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static void stop(Process process) {
        process.destroy();
        try {
            if (process.waitFor(STOP_LIMIT_SECONDS, TimeUnit.SECONDS)) {
                return;
            }
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
        process.destroyForcibly();
    }

    private static String read(RandomAccessFile log) throws IOException {
        synchronized (log) {
            byte[] bytes = new byte[Math.toIntExact(log.length())];
            log.seek(0);
            log.readFully(bytes);
            return new String(bytes, StandardCharsets.UTF_8);
        }
    }

    /** What {@code ONELOG_BIN} names, else {@code onelog} in {@code PATH}; the two variables are given. */
    static String findBinary(String named, String path) {
        if (named != null && !named.isEmpty()) {
            if (!isProgram(new File(named))) {
                throw new OnelogException("ONELOG_BIN is " + named + ", which is no program");
            }
            return named;
        }
        for (String folder : path == null ? new String[0] : path.split(File.pathSeparator)) {
            File file = new File(folder, "onelog");
            if (isProgram(file)) {
                return file.getPath();
            }
        }
        throw new OnelogException("no onelog binary: set ONELOG_BIN to its path, or put `onelog` in a folder of PATH "
                + "(build it with `cargo build --release --bin onelog`)");
    }

    private static boolean isProgram(File file) {
        return file.isFile() && file.canExecute();
    }

    /** How a broker is started. */
    public static final class Settings {
        private final List<String> topics = new ArrayList<>();
        private final List<String> overrides = new ArrayList<>();
        private boolean testMode;
        private String binary;
        private Duration startTimeout = Duration.ofSeconds(30);

        /** Topics made at the start, each {@code NAME[:PARTITIONS]}. */
        public Settings topics(String... names) {
            topics.addAll(List.of(names));
            return this;
        }

        /** A key of Kafka's {@code server.properties}. */
        public Settings override(String key, Object value) {
            overrides.add(key + "=" + value);
            return this;
        }

        /** Serves the control API, for {@link TestBroker#control} and {@link TestBroker#reset}. */
        public Settings testMode() {
            testMode = true;
            return this;
        }

        /** The program to start instead of what {@code ONELOG_BIN} or {@code PATH} name. */
        public Settings binary(String path) {
            binary = path;
            return this;
        }

        /** How long the start may take; 30 seconds unless it is said. */
        public Settings startTimeout(Duration limit) {
            startTimeout = limit;
            return this;
        }

        private List<String> commandLine(String program, Path ready) {
            List<String> line = new ArrayList<>(List.of(program, "dev", "--ready-file", ready.toString()));
            if (!topics.isEmpty()) {
                line.addAll(List.of("--topics", String.join(",", topics)));
            }
            if (testMode) {
                line.add("--test-mode");
            }
            for (String override : overrides) {
                line.addAll(List.of("--override", override));
            }
            return line;
        }
    }
}
