import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs many of Kafka's tools in one JVM. A line of stdin is a class and its arguments, separated by tabs; a last word that begins
 * with `<` names the file that is the tool's stdin. Each tool is answered by a line `#### CODE`, then its stdout;
 * the last by `#### end`.
 */
public class Batch {
    private static Integer code;

    private static final class Exited extends RuntimeException {
        Exited() {
            super(null, null, false, false);
        }
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        // A tool may catch what ends it and exit again: the first code counts.
        Exit.Procedure exit = (status, message) -> {
            if (code == null) {
                code = status;
            }
            throw new Exited();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        String line;
        while ((line = lines.readLine()) != null) {
            List<String> words = new ArrayList<>(List.of(line.split("\t", -1)));
            String last = words.get(words.size() - 1);
            if (last.startsWith("<")) {
                words.remove(words.size() - 1);
                System.setIn(new ByteArrayInputStream(Files.readAllBytes(Path.of(last.substring(1)))));
            }
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
            run(words);
            System.out.flush();
            out.println("#### " + code);
            out.print(printed.toString(StandardCharsets.UTF_8));
            out.flush();
        }
        out.println("#### end");
        out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void run(List<String> words) throws Exception {
        code = null;
        String[] arguments = words.subList(1, words.size()).toArray(new String[0]);
        try {
            Class.forName(words.get(0)).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException ended) {
            if (code == null) {
                code = 1;
            }
        }
        if (code == null) {
            code = 0;
        }
    }
}
