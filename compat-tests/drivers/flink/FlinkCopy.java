import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.stream.Stream;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Copies the values of one topic to another exactly once, until it is killed: HOST:PORT NAME NAMING FOLDER INPUT OUTPUT. Started
 * again with the same folder it goes on from its last checkpoint there: it commits the transactions that the checkpoint names, as
 * a producer that it resumes with their id and epoch, and aborts those that the killed process left open, which it finds by
 * trying names (INCREMENTING) or by asking the broker (POOLING).
 */
public final class FlinkCopy {
    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        Path checkpoints = Path.of(arguments[3]);
        Configuration configuration = new Configuration();
        configuration.setString("execution.checkpointing.interval", "1500ms");
        configuration.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        configuration.setString("execution.checkpointing.dir", checkpoints.toUri().toString());
        configuration.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
        configuration.setString("execution.checkpointing.num-retained", "3");
        configuration.setString("restart-strategy.type", "none");
        configuration.setString("taskmanager.memory.network.min", "16m");
        configuration.setString("taskmanager.memory.network.max", "16m");
        configuration.setString("taskmanager.memory.managed.size", "16m");
        newest(checkpoints).ifPresent(checkpoint -> configuration.setString("execution.state-recovery.path", checkpoint.toUri().toString()));

        KafkaSource<String> source = KafkaSource.<String>builder()
                .setBootstrapServers(address)
                .setTopics(arguments[4])
                .setGroupId(arguments[1])
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setValueOnlyDeserializer(new SimpleStringSchema())
                .build();
        KafkaSink<String> sink = KafkaSink.<String>builder()
                .setBootstrapServers(address)
                .setRecordSerializer(KafkaRecordSerializationSchema.builder()
                        .setTopic(arguments[5])
                        .setValueSerializationSchema(new SimpleStringSchema())
                        .build())
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(arguments[1])
                .setTransactionNamingStrategy(TransactionNamingStrategy.valueOf(arguments[2]))
                .setProperty("transaction.timeout.ms", "300000")
                .build();
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        environment.setParallelism(2);
        environment.fromSource(source, WatermarkStrategy.noWatermarks(), "input").uid("input").sinkTo(sink).uid("output");
        environment.execute(arguments[1]);
    }

    /** Each start has a folder of its own with its checkpoints in it; one is complete when it has its metadata. */
    private static Optional<Path> newest(Path checkpoints) throws IOException {
        if (!Files.exists(checkpoints)) {
            return Optional.empty();
        }
        try (Stream<Path> files = Files.walk(checkpoints)) {
            return files.filter(file -> file.getFileName().toString().equals("_metadata"))
                    .max(Comparator.comparingLong(file -> file.toFile().lastModified()))
                    .map(Path::getParent);
        }
    }
}
