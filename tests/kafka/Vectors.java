import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.DefaultRecordBatch;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.ByteBufferOutputStream;

/**
 * Record batches as Kafka's own client writes them, for the tests of src/wire/records; and what it reads in ours.
 *
 * <pre>
 *   tests/kafka/java.sh Vectors write src/wire/records/tests/vectors
 *   tests/kafka/java.sh Vectors read FILE...
 * </pre>
 */
final class Vectors {
    private static final byte MAGIC = 2;
    private static final long TIME = 1_700_000_000_000L;
    private static final int EPOCH = 7;

    private static final Map<String, Compression> CODECS = Map.of(
        "none", Compression.NONE,
        "gzip", Compression.gzip().build(),
        "snappy", Compression.snappy().build(),
        "lz4", Compression.lz4().build(),
        "zstd", Compression.zstd().build());

    public static void main(String[] args) throws IOException {
        List<String> rest = List.of(args).subList(1, args.length);
        switch (args[0]) {
            case "write" -> write(Path.of(rest.get(0)));
            case "read" -> {
                for (String file : rest) {
                    read(Path.of(file));
                }
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    private static void write(Path folder) throws IOException {
        Files.createDirectories(folder);
        for (Map.Entry<String, Compression> codec : CODECS.entrySet()) {
            save(folder, codec.getKey(), records(codec.getValue()));
            if (codec.getValue() != Compression.NONE) {
                save(folder, "large-" + codec.getKey(), large(codec.getValue()));
            }
        }
        save(folder, "log-append-time", logAppendTime());
        save(folder, "idempotent", idempotent());
        save(folder, "transactions", transactions());
        save(folder, "gaps", gaps());
        save(folder, "empty", empty());
        save(folder, "leader-change", leaderChange());
        save(folder, "magic-0", old((byte) 0));
        save(folder, "magic-1", old((byte) 1));
    }

    private static void save(Path folder, String name, ByteBuffer bytes) throws IOException {
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        Files.write(folder.resolve(name + ".bin"), copy);
    }

    private static MemoryRecordsBuilder builder(Compression codec, long baseOffset) {
        return builder(codec, TimestampType.CREATE_TIME, baseOffset, -1, -1, (short) -1, -1, false);
    }

    private static MemoryRecordsBuilder builder(
            Compression codec, TimestampType type, long baseOffset, long appended, long producer, short epoch, int sequence,
            boolean transactional) {
        return new MemoryRecordsBuilder(new ByteBufferOutputStream(1024), MAGIC, codec, type, baseOffset, appended, producer,
            epoch, sequence, transactional, false, EPOCH, 1 << 20);
    }

    /** Null, empty and other keys and values; headers of all kinds; times that go back. */
    private static ByteBuffer records(Compression codec) {
        MemoryRecordsBuilder builder = builder(codec, 1000);
        builder.append(TIME, bytes("k0"), bytes("v0"));
        builder.append(TIME - 5, null, bytes(""));
        Header[] headers = {
            new RecordHeader("a", bytes("1")), new RecordHeader("a", bytes("2")), new RecordHeader("b", null),
            new RecordHeader("", bytes("")),
        };
        builder.append(TIME + 1, bytes(""), null, headers);
        builder.append(TIME + 100_000, new byte[] {(byte) 0xff, 0}, bytes("é水".repeat(60)));
        for (int n = 4; n < 40; n++) {
            builder.append(TIME + n, null, bytes("some text that repeats itself " + n));
        }
        return builder.build().buffer();
    }

    /** More than one block of any codec, and one that cannot be made smaller. */
    private static ByteBuffer large(Compression codec) {
        MemoryRecordsBuilder builder = builder(codec, 0);
        StringBuilder text = new StringBuilder();
        for (int n = 0; n < 6000; n++) {
            text.append("line ").append(n % 100).append(" of a long text\n");
        }
        builder.append(TIME, null, bytes(text.toString()));
        byte[] noise = new byte[2000];
        int state = 1;
        for (int n = 0; n < noise.length; n++) {
            state = state * 1_103_515_245 + 12_345;
            noise[n] = (byte) (state >>> 16);
        }
        builder.append(TIME, null, noise);
        return builder.build().buffer();
    }

    private static ByteBuffer logAppendTime() {
        MemoryRecordsBuilder builder = builder(
            Compression.NONE, TimestampType.LOG_APPEND_TIME, 50, TIME + 123_456, -1, (short) -1, -1, false);
        for (int n = 0; n < 3; n++) {
            builder.append(TIME + n, null, bytes("value " + n));
        }
        return builder.build().buffer();
    }

    private static ByteBuffer idempotent() {
        MemoryRecordsBuilder builder = builder(
            Compression.NONE, TimestampType.CREATE_TIME, 0, -1, 1L << 40, (short) 3, Integer.MAX_VALUE - 1, false);
        for (int n = 0; n < 3; n++) {
            builder.append(TIME + n, bytes("key"), bytes("value " + n));
        }
        return builder.build().buffer();
    }

    /** Two producers' transactions among each other, one aborted, then one more of the first; and a record of neither. */
    private static ByteBuffer transactions() {
        return joined(List.of(
            transactional(0, 5, 0), transactional(2, 6, 0), marker(4, 5, ControlRecordType.ABORT), plain(5),
            marker(6, 6, ControlRecordType.COMMIT), transactional(7, 5, 2), marker(9, 5, ControlRecordType.COMMIT)));
    }

    private static ByteBuffer transactional(long offset, long producer, int sequence) {
        MemoryRecordsBuilder builder = builder(
            Compression.NONE, TimestampType.CREATE_TIME, offset, -1, producer, (short) 1, sequence, true);
        for (long n = offset; n < offset + 2; n++) {
            builder.append(TIME + n, null, bytes("producer " + producer + " at " + n));
        }
        return builder.build().buffer();
    }

    private static ByteBuffer plain(long offset) {
        MemoryRecordsBuilder builder = builder(Compression.NONE, offset);
        builder.append(TIME + offset, null, bytes("of nobody"));
        return builder.build().buffer();
    }

    private static ByteBuffer marker(long offset, long producer, ControlRecordType type) {
        return MemoryRecords.withEndTransactionMarker(
            offset, TIME, EPOCH, producer, (short) 1, new EndTransactionMarker(type, 3)).buffer();
    }

    private static ByteBuffer gaps() {
        MemoryRecordsBuilder builder = builder(Compression.NONE, 10);
        for (long offset : new long[] {10, 13, 300}) {
            builder.appendWithOffset(offset, TIME, null, bytes("at " + offset));
        }
        return builder.build().buffer();
    }

    /** What compaction leaves of a batch whose records are all gone. */
    private static ByteBuffer empty() {
        ByteBuffer buffer = ByteBuffer.allocate(1024);
        DefaultRecordBatch.writeEmptyHeader(
            buffer, MAGIC, -1, (short) -1, -1, 20, 29, EPOCH, TimestampType.CREATE_TIME, TIME, false, false);
        return buffer.flip();
    }

    private static ByteBuffer leaderChange() {
        return MemoryRecords.withLeaderChangeMessage(
            0, TIME, EPOCH, ByteBuffer.allocate(1024), new LeaderChangeMessage().setLeaderId(1)).buffer();
    }

    private static ByteBuffer old(byte magic) {
        MemoryRecordsBuilder builder = MemoryRecords.builder(
            ByteBuffer.allocate(1024), magic, Compression.NONE, TimestampType.CREATE_TIME, 42L);
        builder.append(TIME, bytes("key"), bytes("value"));
        return builder.build().buffer();
    }

    private static ByteBuffer joined(List<ByteBuffer> parts) {
        ByteBuffer all = ByteBuffer.allocate(parts.stream().mapToInt(ByteBuffer::remaining).sum());
        parts.forEach(part -> all.put(part.duplicate()));
        return all.flip();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** One line for each batch and each record. */
    private static void read(Path file) throws IOException {
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(file)));
        for (MutableRecordBatch batch : records.batches()) {
            batch.ensureValid();
            System.out.printf("batch %d..%d %s producer %d/%d/%d transactional %b%n", batch.baseOffset(), batch.lastOffset(),
                batch.compressionType(), batch.producerId(), batch.producerEpoch(), batch.baseSequence(),
                batch.isTransactional());
            for (Record record : batch) {
                List<String> headers = new ArrayList<>();
                for (Header header : record.headers()) {
                    headers.add(header.key() + "=" + shown(header.value() == null ? null : ByteBuffer.wrap(header.value())));
                }
                System.out.printf("%d %d %s %s %s%n", record.offset(), record.timestamp(), shown(record.key()),
                    shown(record.value()), headers);
            }
        }
    }

    private static String shown(ByteBuffer bytes) {
        return bytes == null ? "null" : "%d:%08x".formatted(bytes.remaining(), bytes.hashCode());
    }
}
