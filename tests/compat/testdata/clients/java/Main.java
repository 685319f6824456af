import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.*;

/** Drives Apache Kafka's own Java client. */
public class Main {
    static final ObjectMapper JSON = new ObjectMapper();
    static final PrintStream OUT = System.out;
    static volatile boolean stopped = false;

    static ObjectNode event(String name) { return JSON.createObjectNode().put("event", name); }

    static void emit(ObjectNode e) {
        synchronized (OUT) {
            OUT.println(e);
            OUT.flush();
        }
    }

    public static void main(String[] args) throws Exception {
        BlockingQueue<Optional<JsonNode>> lines = new LinkedBlockingQueue<>();
        Thread reader = new Thread(() -> {
            try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
                for (String line; (line = in.readLine()) != null; ) lines.add(Optional.of(JSON.readTree(line)));
            } catch (Exception e) {
                System.err.println(e);
            }
            stopped = true;
            lines.add(Optional.empty());
        });
        reader.setDaemon(true);
        reader.start();
        for (Optional<JsonNode> r; (r = lines.take()).isPresent(); ) {
            ObjectNode end = event("end");
            try {
                answer(r.get());
            } catch (ExecutionException e) {
                end.put("error", String.valueOf(e.getCause()));
            } catch (UnsupportedOperationException e) {
                end.put("unsupported", e.getMessage());
            } catch (Exception e) {
                end.put("error", e.toString());
            }
            emit(end);
        }
    }

    static void answer(JsonNode r) throws Exception {
        switch (r.path("verb").asText()) {
            case "info" -> emit(event("info").put("value", version()));
            case "produce" -> produce(r);
            case "consume" -> consume(r);
            case "group" -> group(r);
            case "admin" -> admin(r);
            case "survive" -> survive(r);
            default -> throw new UnsupportedOperationException("verb " + r.path("verb"));
        }
    }

    static String version() throws Exception {
        Properties p = new Properties();
        try (var in = Main.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            p.load(in);
        }
        return p.getProperty("version");
    }

    static Properties properties(JsonNode r) {
        Properties p = new Properties();
        p.put("bootstrap.servers", r.path("addr").asText());
        return p;
    }

    static void produce(JsonNode r) throws Exception {
        Properties p = properties(r);
        p.put("compression.type", r.path("compression").asText());
        p.put("linger.ms", "5");
        switch (r.path("mode").asText()) {
            case "ordinary" -> {
                p.put("acks", "all");
                p.put("enable.idempotence", "false");
            }
            case "idempotent" -> p.put("enable.idempotence", "true");
            default -> { }
        }
        int first = r.path("first").asInt(), count = r.path("count").asInt();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = first; i < first + count; i++) {
                ProducerRecord<String, String> record = new ProducerRecord<>(r.path("topic").asText(), r.path("partition").asInt(),
                        r.path("time").asLong() + i * 1000L, "k" + i % 7, ("value " + i + " ").repeat(1 + i % 50));
                record.headers().add("n", Integer.toString(i).getBytes(StandardCharsets.UTF_8));
                sent.add(producer.send(record));
            }
            for (int i = 0; i < count; i++)
                emit(event("acked").put("index", first + i).put("offset", sent.get(i).get(30, TimeUnit.SECONDS).offset()));
        }
    }

    static void record(ConsumerRecord<String, String> m) {
        ObjectNode e = event("record").put("partition", m.partition()).put("offset", m.offset()).put("time", m.timestamp()).put("key", m.key()).put("value", m.value());
        for (Header h : m.headers()) e.put("header", new String(h.value(), StandardCharsets.UTF_8));
        emit(e);
    }

    static KafkaConsumer<String, String> consumer(JsonNode r) {
        Properties p = properties(r);
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("heartbeat.interval.ms", "500");
        p.put("session.timeout.ms", "10000");
        if (r.hasNonNull("group")) p.put("group.id", r.path("group").asText());
        return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
    }

    static void consume(JsonNode r) throws Exception {
        try (KafkaConsumer<String, String> c = consumer(r)) {
            TopicPartition tp = new TopicPartition(r.path("topic").asText(), r.path("partition").asInt());
            long at = r.path("offset").asLong();
            if (r.path("op").asText().equals("time")) at = c.offsetsForTimes(Map.of(tp, r.path("time").asLong())).get(tp).offset();
            c.assign(List.of(tp));
            c.seek(tp, at);
            long deadline = System.currentTimeMillis() + 30_000;
            for (int n = 0; n < r.path("count").asInt(); ) {
                if (System.currentTimeMillis() > deadline) throw new TimeoutException("not enough records in 30 s");
                for (ConsumerRecord<String, String> m : c.poll(Duration.ofMillis(200))) {
                    record(m);
                    n++;
                }
            }
        }
    }

    static void group(JsonNode r) {
        KafkaConsumer<String, String> c = consumer(r);
        ConsumerRebalanceListener listener = new ConsumerRebalanceListener() {
            void say(Set<TopicPartition> held) {
                ObjectNode e = event("assigned");
                var list = e.putArray("partitions");
                for (TopicPartition p : held) list.add(p.partition());
                emit(e);
            }
            @Override public void onPartitionsAssigned(Collection<TopicPartition> added) { say(c.assignment()); }
            @Override public void onPartitionsRevoked(Collection<TopicPartition> gone) {
                Set<TopicPartition> held = new HashSet<>(c.assignment());
                held.removeAll(gone);
                say(held);
            }
        };
        try (c) {
            c.subscribe(List.of(r.path("topic").asText()), listener);
            while (!stopped) {
                ConsumerRecords<String, String> got = c.poll(Duration.ofMillis(200));
                for (ConsumerRecord<String, String> m : got) record(m);
                if (!got.isEmpty()) {
                    c.commitSync();
                    emit(event("committed"));
                }
            }
        }
    }

    static void admin(JsonNode r) throws Exception {
        try (Admin adm = Admin.create(properties(r))) {
            emit(event("value").put("value", admin(adm, r)));
        }
    }

    static String admin(Admin adm, JsonNode r) throws Exception {
        String topic = r.path("topic").asText(), group = r.path("group").asText();
        TopicPartition tp = new TopicPartition(topic, r.path("partition").asInt());
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        switch (r.path("op").asText()) {
            case "create-topic":
                adm.createTopics(List.of(new NewTopic(topic, r.path("partitions").asInt(), (short) 1))).all().get();
                return "";
            case "describe-topic":
                return "" + adm.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
            case "add-partitions":
                adm.createPartitions(Map.of(topic, NewPartitions.increaseTo(r.path("partitions").asInt()))).all().get();
                return "";
            case "alter-config":
                AlterConfigOp op = new AlterConfigOp(new ConfigEntry("retention.ms", r.path("value").asText()), AlterConfigOp.OpType.SET);
                adm.incrementalAlterConfigs(Map.of(resource, List.of(op))).all().get();
                return "";
            case "describe-config":
                return adm.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
            case "list-offsets":
                return "" + adm.listOffsets(Map.of(tp, OffsetSpec.latest())).partitionResult(tp).get().offset();
            case "delete-topic":
                adm.deleteTopics(List.of(topic)).all().get();
                return "";
            case "list-groups":
                return "" + adm.listGroups().all().get().stream().anyMatch(g -> g.groupId().equals(group));
            case "describe-group":
                return adm.describeConsumerGroups(List.of(group)).all().get().get(group).groupState().toString();
            case "group-offsets":
                return "" + adm.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(tp).offset();
            case "delete-group":
                adm.deleteConsumerGroups(List.of(group)).all().get();
                return "";
            default:
                throw new UnsupportedOperationException("admin " + r.path("op"));
        }
    }

    static void survive(JsonNode r) throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(properties(r), new StringSerializer(), new StringSerializer())) {
            for (int i = 0; !stopped; i++) {
                int n = i;
                producer.send(new ProducerRecord<>(r.path("topic").asText(), Integer.toString(i)), (meta, err) -> {
                    ObjectNode e = event(err == null ? "acked" : "failed").put("index", n);
                    if (err != null) e.put("error", err.toString());
                    emit(e);
                });
                Thread.sleep(2);
            }
        }
    }
}
