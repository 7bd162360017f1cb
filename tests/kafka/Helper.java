import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.common.utils.Utils;

/**
 * Kafka's own client at the service of the tests: one JVM that answers many questions.
 *
 * <p>{@code Helper KEY=VALUE...} takes client settings ({@code bootstrap.servers=...}). Each line of standard input is a
 * JSON object whose field {@code do} names a method below; each gets one line in answer: {@code {"ok": ...}} or {@code
 * {"error": "...", "code": N}}, N as the protocol numbers errors. Keys, values and header values are base64 or null. Ends
 * with its standard input.
 */
final class Helper {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private final Map<String, Object> settings;
    private final Admin admin;

    private Helper(Map<String, Object> settings) {
        this.settings = settings;
        this.admin = Admin.create(settings);
    }

    public static void main(String[] args) throws IOException {
        PrintStream out = System.out;
        System.setOut(System.err); // Standard output carries the answers and nothing else.
        Map<String, Object> settings = new HashMap<>();
        for (String arg : args) {
            String[] pair = arg.split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        Helper helper = new Helper(settings);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            out.println(JSON.writeValueAsString(helper.answer(line)));
        }
        Runtime.getRuntime().halt(0);
    }

    private ObjectNode answer(String line) {
        ObjectNode answer = JSON.createObjectNode();
        try {
            answer.set("ok", run(JSON.readTree(line)));
        } catch (ExecutionException error) {
            refuse(answer, error.getCause());
        } catch (Exception error) {
            refuse(answer, error);
        }
        return answer;
    }

    private static void refuse(ObjectNode answer, Throwable error) {
        answer.put("error", error.toString()).put("code", Errors.forException(error).code());
    }

    private JsonNode run(JsonNode request) throws Exception {
        String name = request.path("do").asText();
        return switch (name) {
            case "create_topic" -> createTopic(request);
            case "describe_topic" -> describeTopic(request.get("topic").asText());
            case "create_partitions" -> createPartitions(request);
            case "delete_topic" -> deleteTopic(request);
            case "move_leader" -> moveLeader(request);
            case "await_in_sync" -> awaitInSync(request);
            case "topic_config" -> topicConfig(request.get("topic").asText());
            case "begin_offsets" -> offsets(request.get("topic").asText(), OffsetSpec.earliest());
            case "end_offsets" -> offsets(request.get("topic").asText(), OffsetSpec.latest());
            case "offsets_at" ->
                offsets(request.get("topic").asText(), OffsetSpec.forTimestamp(request.get("timestamp").asLong()));
            case "delete_records" -> deleteRecords(request);
            case "produce" -> produce(request);
            case "consume" -> consume(request);
            case "partition_for" -> partitionFor(request);
            case "list_groups" -> listGroups();
            case "describe_group" -> describeGroup(request.get("group").asText());
            case "delete_group" -> deleteGroup(request.get("group").asText());
            case "committed" -> committed(request.get("group").asText());
            case "set_committed" -> setCommitted(request);
            case "delete_offsets" -> deleteOffsets(request);
            case "deny_group" -> denyGroup(request.get("group").asText());
            case "remove_members" -> removeMembers(request.get("group").asText());
            case "tool" -> tool(request);
            default -> throw new IllegalArgumentException("unknown request: " + name);
        };
    }

    /**
     * {@code topic, partitions, replication, config}, or for the first two the brokers of each partition, {@code
     * replicas: [[1, 2], [2, 1]]}; returns when every partition answers, not only when the controller has it.
     */
    private JsonNode createTopic(JsonNode request) throws Exception {
        String topic = request.get("topic").asText();
        short replication = (short) request.path("replication").asInt(1);
        Map<Integer, List<Integer>> replicas = new HashMap<>();
        for (JsonNode of : request.path("replicas")) replicas.put(replicas.size(), integers(of));
        NewTopic created = replicas.isEmpty()
                ? new NewTopic(topic, request.path("partitions").asInt(1), replication)
                : new NewTopic(topic, replicas);
        created.configs(strings(request.path("config")));
        admin.createTopics(List.of(created)).all().get();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            try {
                return offsets(topic, OffsetSpec.latest());
            } catch (ExecutionException error) {
                boolean early = error.getCause() instanceof UnknownTopicOrPartitionException;
                if (!early || System.nanoTime() > deadline) throw error;
            }
        }
    }

    /** {@code topic}. */
    private JsonNode deleteTopic(JsonNode request) throws Exception {
        admin.deleteTopics(List.of(request.get("topic").asText())).all().get();
        return JSON.nullNode();
    }

    /** Leader and replicas of each partition. */
    private JsonNode describeTopic(String topic) throws Exception {
        ArrayNode answer = JSON.createArrayNode();
        for (TopicPartitionInfo partition : admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions()) {
            ObjectNode one = answer.addObject();
            one.put("partition", partition.partition()).put("leader", partition.leader().id());
            ArrayNode replicas = one.putArray("replicas");
            for (Node replica : partition.replicas()) replicas.add(replica.id());
        }
        return answer;
    }

    /** {@code topic, total}. */
    private JsonNode createPartitions(JsonNode request) throws Exception {
        NewPartitions total = NewPartitions.increaseTo(request.get("total").asInt());
        admin.createPartitions(Map.of(request.get("topic").asText(), total)).all().get();
        return JSON.nullNode();
    }

    /** {@code topic, partition, to}: makes broker {@code to}, one of the replicas, the first of them and the leader. */
    private JsonNode moveLeader(JsonNode request) throws Exception {
        TopicPartition partition = partition(request);
        int to = request.get("to").asInt();
        List<Integer> order = new ArrayList<>(List.of(to));
        for (Node replica : described(partition).replicas()) {
            if (replica.id() != to) order.add(replica.id());
        }
        NewPartitionReassignment target = new NewPartitionReassignment(order);
        admin.alterPartitionReassignments(Map.of(partition, Optional.of(target))).all().get();
        await(() -> described(partition).replicas().get(0).id() == to);
        await(() -> {
            admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get();
            Node leader = described(partition).leader();
            return leader != null && leader.id() == to;
        });
        return JSON.nullNode();
    }

    /** {@code topic, count}: returns when so many replicas of each partition are in sync, no more and no fewer. */
    private JsonNode awaitInSync(JsonNode request) throws Exception {
        int count = request.get("count").asInt();
        List<TopicPartition> partitions = partitions(request.get("topic").asText());
        for (TopicPartition partition : partitions) await(() -> described(partition).isr().size() == count);
        return JSON.nullNode();
    }

    private TopicPartitionInfo described(TopicPartition of) throws Exception {
        String topic = of.topic();
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().get(of.partition());
    }

    /** Nobody tells a client of such changes: it has to ask again and again. */
    private static void await(Callable<Boolean> reached) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!reached.call()) {
            if (System.nanoTime() > deadline) throw new IllegalStateException("the cluster did not get there");
            Thread.sleep(20);
        }
    }

    /** All settings of a topic by name. */
    private JsonNode topicConfig(String name) throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, name);
        ObjectNode answer = JSON.createObjectNode();
        for (ConfigEntry entry : admin.describeConfigs(List.of(topic)).all().get().get(topic).entries()) {
            answer.put(entry.name(), entry.value());
        }
        return answer;
    }

    /** Offsets in the order of partitions. */
    private JsonNode offsets(String topic, OffsetSpec spec) throws Exception {
        List<TopicPartition> partitions = partitions(topic);
        var found = admin.listOffsets(partitions.stream().collect(Collectors.toMap(p -> p, p -> spec))).all().get();
        ArrayNode offsets = JSON.createArrayNode();
        for (TopicPartition partition : partitions) offsets.add(found.get(partition).offset());
        return offsets;
    }

    private List<TopicPartition> partitions(String topic) throws Exception {
        int count = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
        return IntStream.range(0, count).mapToObj(p -> new TopicPartition(topic, p)).toList();
    }

    /** {@code topic, partition, before}: the partition then begins at offset {@code before}. */
    private JsonNode deleteRecords(JsonNode request) throws Exception {
        TopicPartition partition = partition(request);
        RecordsToDelete before = RecordsToDelete.beforeOffset(request.get("before").asLong());
        admin.deleteRecords(Map.of(partition, before)).all().get();
        return JSON.nullNode();
    }

    /**
     * {@code topic, records: [{partition, timestamp, key, value, headers: [[name, value]]}], config, transaction, offsets},
     * where transaction is {@code commit}, {@code abort} or {@code open} and offsets, which belong to it, are {@code {group,
     * topic, partition, offset}}; returns {@code [[partition, offset]]}.
     */
    private JsonNode produce(JsonNode request) throws Exception {
        Map<String, Object> config = with(request.path("config"));
        String transaction = request.path("transaction").asText("");
        if (!transaction.isEmpty()) config.putIfAbsent("transactional.id", "helper-" + System.nanoTime());
        ByteArraySerializer bytes = new ByteArraySerializer();
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config, bytes, bytes);
        try (AutoCloseable closed = transaction.equals("open") ? () -> {} : producer) {
            if (!transaction.isEmpty()) {
                producer.initTransactions();
                producer.beginTransaction();
            }
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (JsonNode record : request.get("records")) {
                sent.add(producer.send(record(request.get("topic").asText(), record)));
            }
            producer.flush();
            ArrayNode placed = JSON.createArrayNode();
            for (Future<RecordMetadata> future : sent) {
                placed.addArray().add(future.get().partition()).add(future.get().offset());
            }
            JsonNode offsets = request.path("offsets");
            if (offsets.isObject()) {
                OffsetAndMetadata offset = new OffsetAndMetadata(offsets.get("offset").asLong());
                ConsumerGroupMetadata group = new ConsumerGroupMetadata(offsets.get("group").asText());
                producer.sendOffsetsToTransaction(Map.of(partition(offsets), offset), group);
            }
            if (transaction.equals("commit")) producer.commitTransaction();
            if (transaction.equals("abort")) producer.abortTransaction();
            return placed;
        }
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, JsonNode record) {
        List<Header> headers = new ArrayList<>();
        for (JsonNode header : record.path("headers")) {
            headers.add(new RecordHeader(header.get(0).asText(), bytes(header.get(1))));
        }
        Integer partition = record.hasNonNull("partition") ? record.get("partition").asInt() : null;
        Long timestamp = record.hasNonNull("timestamp") ? record.get("timestamp").asLong() : null;
        return new ProducerRecord<>(
                topic, partition, timestamp, bytes(record.get("key")), bytes(record.get("value")), headers);
    }

    /** {@code topic, config}: every record up to the end as it is now, in the order of each partition. */
    private JsonNode consume(JsonNode request) throws Exception {
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        Map<String, Object> config = with(request.path("config"));
        config.put("enable.auto.commit", "false");
        config.put("fetch.max.wait.ms", "20");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config, bytes, bytes)) {
            List<TopicPartition> partitions = partitions(request.get("topic").asText());
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            ArrayNode records = JSON.createArrayNode();
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                if (System.nanoTime() > deadline) throw new IllegalStateException("the end was not reached");
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    records.add(json(record));
                }
            }
            return records;
        }
    }

    private static ObjectNode json(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode json = JSON.createObjectNode();
        json.put("partition", record.partition()).put("offset", record.offset()).put("timestamp", record.timestamp());
        json.put("timestamp_type", record.timestampType().name);
        json.put("key", base64(record.key())).put("value", base64(record.value()));
        ArrayNode headers = json.putArray("headers");
        for (Header header : record.headers()) headers.addArray().add(header.key()).add(base64(header.value()));
        return json;
    }

    /** {@code key, partitions}: Java's hash of the key and the partition that it picks. */
    private JsonNode partitionFor(JsonNode request) {
        byte[] key = bytes(request.get("key"));
        int partition = BuiltInPartitioner.partitionForKey(key, request.get("partitions").asInt());
        return JSON.createObjectNode().put("murmur2", Utils.murmur2(key)).put("partition", partition);
    }

    private JsonNode listGroups() throws Exception {
        ArrayNode answer = JSON.createArrayNode();
        admin.listGroups().all().get().stream().map(GroupListing::groupId).sorted().forEach(answer::add);
        return answer;
    }

    private JsonNode deleteGroup(String group) throws Exception {
        admin.deleteConsumerGroups(List.of(group)).all().get();
        return JSON.nullNode();
    }

    /** State, protocol and members with their partitions ({@code topic-N}). */
    private JsonNode describeGroup(String group) throws Exception {
        ConsumerGroupDescription found =
                admin.describeConsumerGroups(List.of(group)).describedGroups().get(group).get();
        ObjectNode answer = JSON.createObjectNode();
        answer.put("state", found.groupState().toString()).put("assignor", found.partitionAssignor());
        ArrayNode members = answer.putArray("members");
        for (MemberDescription member : found.members()) {
            ObjectNode one = members.addObject();
            one.put("member_id", member.consumerId()).put("client_id", member.clientId());
            one.put("instance_id", member.groupInstanceId().orElse(null));
            ArrayNode assigned = one.putArray("partitions");
            member.assignment().topicPartitions().stream().map(Object::toString).sorted().forEach(assigned::add);
        }
        return answer;
    }

    /** Nobody may read the group any more, nor be in it. */
    private JsonNode denyGroup(String group) throws Exception {
        ResourcePattern pattern = new ResourcePattern(ResourceType.GROUP, group, PatternType.LITERAL);
        AccessControlEntry nobody =
                new AccessControlEntry("User:*", "*", AclOperation.READ, AclPermissionType.DENY);
        admin.createAcls(List.of(new AclBinding(pattern, nobody))).all().get();
        return JSON.nullNode();
    }

    /** All of them; those who live join again. */
    private JsonNode removeMembers(String group) throws Exception {
        admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all().get();
        return JSON.nullNode();
    }

    /** Committed offsets by {@code topic-N}. */
    private JsonNode committed(String group) throws Exception {
        ObjectNode answer = JSON.createObjectNode();
        admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().forEach((partition, committed) ->
                answer.put(partition.toString(), committed.offset()));
        return answer;
    }

    /** {@code group, topic, partition, offset, metadata}. */
    private JsonNode setCommitted(JsonNode request) throws Exception {
        String metadata = request.path("metadata").asText("");
        OffsetAndMetadata offset = new OffsetAndMetadata(request.get("offset").asLong(), Optional.empty(), metadata);
        admin.alterConsumerGroupOffsets(request.get("group").asText(), Map.of(partition(request), offset)).all().get();
        return JSON.nullNode();
    }

    /** {@code group, topic, partition}. */
    private JsonNode deleteOffsets(JsonNode request) throws Exception {
        String group = request.get("group").asText();
        admin.deleteConsumerGroupOffsets(group, Set.of(partition(request))).all().get();
        return JSON.nullNode();
    }

    /** Thrown where a tool would have ended this JVM. */
    private static final class Exited extends RuntimeException {
        Exited() {
            super(null, null, false, false);
        }
    }

    /**
     * {@code class, args, input}: runs one of Kafka's tools here, which saves the start of a JVM; returns {@code {exit, out,
     * err}}.
     */
    private JsonNode tool(JsonNode request) throws Exception {
        List<String> args = new ArrayList<>();
        request.get("args").forEach(arg -> args.add(arg.asText()));
        List<Runnable> hooks = new ArrayList<>();
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        ByteArrayOutputStream complained = new ByteArrayOutputStream();
        ObjectNode answer = JSON.createObjectNode();
        // The first exit counts: some tools take what it throws for a mistake, report it and exit again.
        Exit.Procedure exit = (status, message) -> {
            if (answer.isEmpty()) ended(answer, status, printed, complained);
            throw new Exited();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        InputStream in = System.in;
        PrintStream out = System.out;
        PrintStream err = System.err;
        System.setIn(new ByteArrayInputStream(request.path("input").asText("").getBytes(StandardCharsets.UTF_8)));
        System.setOut(new PrintStream(printed, true));
        System.setErr(new PrintStream(complained, true));
        try {
            Class<?> tool = Class.forName(request.get("class").asText());
            tool.getMethod("main", String[].class).invoke(null, (Object) args.toArray(String[]::new));
        } catch (InvocationTargetException ended) {
            if (!(ended.getCause() instanceof Exited)) throw ended;
        } finally {
            hooks.forEach(Runnable::run);
            System.setIn(in);
            System.setOut(out);
            System.setErr(err);
        }
        if (answer.isEmpty()) ended(answer, 0, printed, complained);
        return answer;
    }

    private static void ended(ObjectNode answer, int status, ByteArrayOutputStream out, ByteArrayOutputStream err) {
        answer.put("exit", status).put("out", out.toString(StandardCharsets.UTF_8));
        answer.put("err", err.toString(StandardCharsets.UTF_8));
    }

    private static TopicPartition partition(JsonNode request) {
        return new TopicPartition(request.get("topic").asText(), request.path("partition").asInt(0));
    }

    private Map<String, Object> with(JsonNode config) {
        Map<String, Object> all = new HashMap<>(settings);
        all.putAll(strings(config));
        return all;
    }

    private static Map<String, String> strings(JsonNode object) {
        Map<String, String> map = new HashMap<>();
        object.properties().forEach(field -> map.put(field.getKey(), field.getValue().asText()));
        return map;
    }

    private static List<Integer> integers(JsonNode array) {
        List<Integer> list = new ArrayList<>();
        array.forEach(one -> list.add(one.asInt()));
        return list;
    }

    private static byte[] bytes(JsonNode base64) {
        return base64 == null || base64.isNull() ? null : Base64.getDecoder().decode(base64.asText());
    }

    private static String base64(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
