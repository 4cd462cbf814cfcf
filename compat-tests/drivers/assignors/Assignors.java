import java.util.*;
import java.util.stream.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.*;
import org.apache.kafka.coordinator.group.assignor.*;
import org.apache.kafka.coordinator.group.modern.*;

/**
 * Groups made at random, and who reads what in them by Kafka's own assignors: one line for each answer. Arguments: the seed, the
 * number of groups. A group lives for a few rebalances, each of which begins with the answer before it.
 *
 * A line is the assignor, the topics with their partitions, the members with their instance ids and subscriptions, what they
 * had, and the answer, with blanks between them: {@code range 1:4,2:2 a/:1+2,b/i:1 a:1.0,b: a:1.2+1.3+2.0+2.1,b:1.0+1.1}.
 */
public final class Assignors {
    private final Random random;
    private final TreeMap<Integer, Integer> topics = new TreeMap<>();
    private final TreeMap<String, TreeSet<Integer>> members = new TreeMap<>();
    private final Map<String, String> instances = new HashMap<>();
    private int names;

    private Assignors(long seed) {
        random = new Random(seed);
    }

    public static void main(String[] arguments) {
        Random seeds = new Random(Long.parseLong(arguments[0]));
        for (int group = 0; group < Integer.parseInt(arguments[1]); group++) {
            new Assignors(seeds.nextLong()).live();
        }
    }

    private void live() {
        ConsumerGroupPartitionAssignor assignor = random.nextBoolean() ? new RangeAssignor() : new UniformAssignor();
        boolean alike = random.nextInt(3) > 0;
        for (int topic = 1; topic <= 1 + random.nextInt(4); topic++) topics.put(topic, 1 + random.nextInt(9));
        for (int member = 0; member <= random.nextInt(6); member++) join(alike);
        Map<String, MemberAssignment> current = Map.of();
        for (int rebalance = 0; rebalance < 5; rebalance++) {
            current = assign(assignor, current);
            change(alike);
        }
    }

    private void join(boolean alike) {
        String member = "m" + names++;
        members.put(member, alike ? new TreeSet<>(topics.keySet()) : someTopics());
        if (random.nextInt(3) == 0) instances.put(member, "i" + (100 - names));
    }

    private TreeSet<Integer> someTopics() {
        return topics.keySet().stream().filter(topic -> random.nextInt(3) > 0).collect(Collectors.toCollection(TreeSet::new));
    }

    private void change(boolean alike) {
        String anybody = members.keySet().stream().skip(random.nextInt(members.size())).findFirst().get();
        switch (random.nextInt(alike ? 4 : 5)) {
            case 0, 1 -> join(alike);
            case 2 -> {
                if (members.size() > 1) members.remove(anybody);
            }
            case 3 -> topics.merge(1 + random.nextInt(topics.size()), 1 + random.nextInt(3), Integer::sum);
            default -> members.put(anybody, someTopics());
        }
    }

    private Map<String, MemberAssignment> assign(ConsumerGroupPartitionAssignor assignor, Map<String, MemberAssignment> current) {
        Map<String, MemberSubscriptionAndAssignmentImpl> specs = new TreeMap<>();
        Map<Uuid, Map<Integer, String>> owners = new HashMap<>();
        members.forEach((member, subscribed) -> {
            Map<Uuid, Set<Integer>> had = current.containsKey(member) ? current.get(member).partitions() : Map.of();
            had.forEach((topic, partitions) -> partitions.forEach(partition ->
                owners.computeIfAbsent(topic, any -> new HashMap<>()).put(partition, member)));
            Set<Uuid> ids = subscribed.stream().map(Assignors::id).collect(Collectors.toCollection(TreeSet::new));
            specs.put(member, new MemberSubscriptionAndAssignmentImpl(
                Optional.empty(), Optional.ofNullable(instances.get(member)), ids, new Assignment(had)));
        });
        SubscriptionType type = members.values().stream().distinct().count() == 1
            ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS;
        SubscribedTopicDescriber describer = new SubscribedTopicDescriber() {
            @Override
            public int numPartitions(Uuid topic) {
                return topics.getOrDefault(number(topic), -1);
            }

            @Override
            public Set<String> racksForPartition(Uuid topic, int partition) {
                return Set.of();
            }
        };
        GroupAssignment answer = assignor.assign(new GroupSpecImpl(specs, type, owners), describer);
        System.out.printf("%s %s %s %s %s%n", assignor.name(),
            joined(topics.keySet(), topic -> topic + ":" + topics.get(topic)),
            joined(members.keySet(), member -> member + "/" + instances.getOrDefault(member, "") + ":"
                + members.get(member).stream().map(String::valueOf).collect(Collectors.joining("+"))),
            shown(current), shown(answer.members()));
        return answer.members();
    }

    private String shown(Map<String, MemberAssignment> assignment) {
        return joined(members.keySet(), member -> {
            Map<Uuid, Set<Integer>> has = assignment.containsKey(member) ? assignment.get(member).partitions() : Map.of();
            return member + ":" + new TreeMap<>(has).entrySet().stream()
                .flatMap(entry -> entry.getValue().stream().sorted().map(partition -> number(entry.getKey()) + "." + partition))
                .collect(Collectors.joining("+"));
        });
    }

    private static <T> String joined(Collection<T> all, java.util.function.Function<T, String> show) {
        return all.stream().map(show).collect(Collectors.joining(","));
    }

    private static Uuid id(int topic) {
        return new Uuid(0, topic);
    }

    private static int number(Uuid id) {
        return (int) id.getLeastSignificantBits();
    }
}
