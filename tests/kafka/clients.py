"""Python's clients at the service of the tests; what can be asked is that of Helper.java.

clients.py confluent|kafka_python serve KEY=VALUE...
    Each line of standard input is a JSON object whose field "do" names a method below; each gets one line in answer:
    {"ok": ...} or {"error": "...", "code": N}, N as the protocol numbers errors. Keys, values and header values are
    base64 or null. Ends with its standard input.

clients.py confluent|kafka_python member TOPIC KEY=VALUE...
    A member of a group: prints "PARTITION VALUE" for each record, and its rebalances on standard error ("assigned 0 1",
    "revoked 0 1"). Ends in order on SIGTERM, or after count=N records.

Settings have the Java client's names and units.
"""

import base64
import json
import signal
import sys
import time
import uuid
from functools import cached_property

PATIENCE = 30


def encoded(data):
    return None if data is None else base64.b64encode(data).decode()


def decoded(text):
    return None if text is None else base64.b64decode(text)


def partition_key(topic, partition):
    return f"{topic}-{partition}"


class Failed(Exception):
    """A refusal by the broker or the client, with its number in the protocol (below 0: the client's own)."""

    def __init__(self, text, code):
        super().__init__(text)
        self.code = code


class Stopped:
    """Set by SIGTERM."""

    def __init__(self):
        self.set = False
        signal.signal(signal.SIGTERM, self.stop)

    def stop(self, *_):
        self.set = True


class Confluent:
    """confluent-kafka: librdkafka."""

    NAMES = {"max.request.size": "message.max.bytes", "max.block.ms": "message.timeout.ms"}

    def __init__(self, settings):
        self.settings = settings
        self.open = []

    @cached_property
    def admin(self):
        from confluent_kafka.admin import AdminClient

        return AdminClient(self.config({}))

    def config(self, more):
        return {self.NAMES.get(key, key): value for key, value in {**self.settings, **more}.items()}

    @staticmethod
    def result(futures):
        """What the one future of a call has, under whatever key."""
        from confluent_kafka import KafkaException

        try:
            return next(iter(futures.values())).result(PATIENCE)
        except KafkaException as error:
            raise Failed(str(error), error.args[0].code()) from error

    def guarded(self, call, *args):
        from confluent_kafka import KafkaException

        try:
            return call(*args)
        except KafkaException as error:
            raise Failed(str(error), error.args[0].code()) from error

    def metadata(self, topic):
        found = self.guarded(lambda: self.admin.list_topics(topic, PATIENCE)).topics[topic]
        if found.error is not None:
            raise Failed(str(found.error), found.error.code())
        return found

    def partitions(self, topic):
        return sorted(self.metadata(topic).partitions)

    def create_topic(self, topic, partitions=1, replication=1, config=None):
        from confluent_kafka.admin import NewTopic

        new = NewTopic(topic, partitions, replication, config=config or {})
        self.result(self.admin.create_topics([new]))

    def create_partitions(self, topic, total):
        from confluent_kafka.admin import NewPartitions

        self.result(self.admin.create_partitions([NewPartitions(topic, total)]))

    def delete_topic(self, topic):
        self.result(self.admin.delete_topics([topic]))

    def describe_topic(self, topic):
        found = self.metadata(topic).partitions
        return [{"partition": p, "leader": found[p].leader, "replicas": found[p].replicas} for p in sorted(found)]

    def topic_config(self, topic):
        from confluent_kafka.admin import ConfigResource

        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        return {name: entry.value for name, entry in self.result(self.admin.describe_configs([resource])).items()}

    def offsets(self, topic, spec):
        from confluent_kafka import TopicPartition

        found = []
        for partition in self.partitions(topic):
            asked = {TopicPartition(topic, partition): spec}
            found.append(self.result(self.admin.list_offsets(asked)).offset)
        return found

    def begin_offsets(self, topic):
        from confluent_kafka.admin import OffsetSpec

        return self.offsets(topic, OffsetSpec.earliest())

    def end_offsets(self, topic):
        from confluent_kafka.admin import OffsetSpec

        return self.offsets(topic, OffsetSpec.latest())

    def offsets_at(self, topic, timestamp):
        from confluent_kafka.admin import OffsetSpec

        return self.offsets(topic, OffsetSpec.for_timestamp(timestamp))

    def delete_records(self, topic, partition, before):
        from confluent_kafka import TopicPartition

        self.result(self.admin.delete_records([TopicPartition(topic, partition, before)]))

    def produce(self, topic, records, config=None, transaction=None, offsets=None):
        from confluent_kafka import Producer

        config = self.config(config or {})
        if transaction:
            config.setdefault("transactional.id", f"python-{uuid.uuid4()}")
        producer = Producer(config)
        if transaction:
            self.guarded(producer.init_transactions, PATIENCE)
            producer.begin_transaction()
        placed = [None] * len(records)

        def deliver(at):
            def delivered(error, message):
                placed[at] = Failed(str(error), error.code()) if error else [message.partition(), message.offset()]

            return delivered

        for at, record in enumerate(records):
            partition, timestamp = record.get("partition"), record.get("timestamp")
            producer.produce(
                topic,
                decoded(record.get("value")),
                decoded(record.get("key")),
                -1 if partition is None else partition,
                on_delivery=deliver(at),
                timestamp=timestamp or 0,
                headers=[(name, decoded(value)) for name, value in record.get("headers") or []],
            )
        producer.flush(PATIENCE)
        for place in placed:
            if isinstance(place, Failed):
                raise place
        if offsets:
            self.send_offsets(producer, **offsets)
        if transaction == "commit":
            self.guarded(producer.commit_transaction, PATIENCE)
        elif transaction == "abort":
            self.guarded(producer.abort_transaction, PATIENCE)
        elif transaction == "open":
            self.open.append(producer)
        return placed

    def send_offsets(self, producer, group, topic, partition, offset):
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(self.config({"group.id": group}))
        metadata = consumer.consumer_group_metadata()
        place = [TopicPartition(topic, partition, offset)]
        self.guarded(producer.send_offsets_to_transaction, place, metadata, PATIENCE)
        consumer.close()

    def consume(self, topic, config=None):
        from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

        own = {"group.id": "unused", "enable.auto.commit": "false", "enable.partition.eof": "true"}
        consumer = Consumer(self.config({"fetch.wait.max.ms": "20", **own, **(config or {})}))
        partitions = self.partitions(topic)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        records, left, deadline = [], set(partitions), time.monotonic() + PATIENCE
        while left:
            if time.monotonic() > deadline:
                raise RuntimeError("the end was not reached")
            message = consumer.poll(0.5)
            if message is None:
                continue
            if message.error() is None:
                records.append(self.record(message))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            else:
                raise Failed(str(message.error()), message.error().code())
        consumer.close()
        return records

    @staticmethod
    def record(message):
        return {
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp": message.timestamp()[1],
            "key": encoded(message.key()),
            "value": encoded(message.value()),
            "headers": [[name, encoded(value)] for name, value in message.headers() or []],
        }

    def list_groups(self):
        return sorted(group.group_id for group in self.admin.list_consumer_groups().result(PATIENCE).valid)

    def describe_group(self, group):
        found = self.result(self.admin.describe_consumer_groups([group]))
        members = [
            {
                "member_id": member.member_id,
                "client_id": member.client_id,
                "instance_id": member.group_instance_id,
                "partitions": sorted(partition_key(p.topic, p.partition) for p in member.assignment.topic_partitions),
            }
            for member in found.members
        ]
        state = found.state.name.title().replace("_", "")
        return {"state": state, "assignor": found.partition_assignor, "members": members}

    def committed(self, group, topic=None):
        from confluent_kafka import ConsumerGroupTopicPartitions

        found = self.result(self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return {partition_key(p.topic, p.partition): p.offset for p in found.topic_partitions}

    def set_committed(self, group, topic, partition, offset):
        from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])
        found = self.result(self.admin.alter_consumer_group_offsets([asked]))
        for place in found.topic_partitions:
            if place.error:
                raise Failed(str(place.error), place.error.code())

    def delete_group(self, group):
        self.result(self.admin.delete_consumer_groups([group]))

    def member(self, topic, stopped, count, show):
        from confluent_kafka import Consumer

        consumer = Consumer(self.config({}))
        consumer.subscribe(
            [topic],
            on_assign=lambda _, partitions: show("assigned", [p.partition for p in partitions]),
            on_revoke=lambda _, partitions: show("revoked", [p.partition for p in partitions]),
        )
        while count != 0 and not stopped.set:
            message = consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            yield message.partition(), message.value()
            count -= 1
        consumer.close()


class KafkaPython:
    """kafka-python: no line in common with the others."""

    def __init__(self, settings):
        self.settings = settings
        self.open = []

    @cached_property
    def admin(self):
        from kafka import KafkaAdminClient

        return KafkaAdminClient(**self.config({}))

    def config(self, more):
        return {key.replace(".", "_"): self.value(value) for key, value in {**self.settings, **more}.items()}

    @staticmethod
    def value(text):
        if text in ("true", "false"):
            return text == "true"
        if text == "none":
            return None
        return int(text) if text.lstrip("-").isdigit() else text

    @staticmethod
    def guarded(call, *args, **named):
        from kafka.errors import KafkaError

        try:
            return call(*args, **named)
        except KafkaError as error:
            raise Failed(repr(error), getattr(error, "errno", None) or -1) from error

    @staticmethod
    def check(error):
        """Of those calls that return the class of an error."""
        if error.errno:
            raise Failed(error.__name__, error.errno)

    def create_topic(self, topic, partitions=1, replication=1, config=None):
        new = {"num_partitions": partitions, "replication_factor": replication, "configs": config or {}}
        self.guarded(self.admin.create_topics, {topic: new})

    def create_partitions(self, topic, total):
        self.guarded(self.admin.create_partitions, {topic: total})

    def delete_topic(self, topic):
        self.guarded(self.admin.delete_topics, [topic])

    def describe_topic(self, topic):
        from kafka.errors import for_code

        found = self.guarded(self.admin.describe_topics, [topic])[0]
        self.check(for_code(found["error_code"]))
        partitions = sorted(found["partitions"], key=lambda p: p["partition_index"])
        return [
            {"partition": p["partition_index"], "leader": p["leader_id"], "replicas": p["replica_nodes"]}
            for p in partitions
        ]

    def topic_config(self, topic):
        from kafka.admin import ConfigResource

        resource = ConfigResource("TOPIC", topic)
        found = self.guarded(self.admin.describe_configs, [resource], config_filter="all")
        return {name: entry["value"] for name, entry in found["topic"][topic].items()}

    def offsets(self, topic, spec):
        from kafka import TopicPartition

        partitions = [TopicPartition(topic, one["partition"]) for one in self.describe_topic(topic)]
        found = self.guarded(self.admin.list_partition_offsets, {partition: spec for partition in partitions})
        return [found[partition].offset for partition in partitions]

    def begin_offsets(self, topic):
        return self.offsets(topic, -2)

    def end_offsets(self, topic):
        return self.offsets(topic, -1)

    def offsets_at(self, topic, timestamp):
        return self.offsets(topic, timestamp)

    def delete_records(self, topic, partition, before):
        from kafka import TopicPartition

        self.guarded(self.admin.delete_records, {TopicPartition(topic, partition): before})

    def produce(self, topic, records, config=None, transaction=None, offsets=None):
        from kafka import KafkaProducer

        config = self.config(config or {})
        if transaction:
            config.setdefault("transactional_id", f"python-{uuid.uuid4()}")
        producer = KafkaProducer(**config)
        if transaction:
            self.guarded(producer.init_transactions)
            producer.begin_transaction()
        sent = [self.send(producer, topic, record) for record in records]
        producer.flush(PATIENCE)
        found = [self.guarded(future.get, PATIENCE) for future in sent]
        if offsets:
            self.send_offsets(producer, **offsets)
        if transaction == "commit":
            self.guarded(producer.commit_transaction)
        elif transaction == "abort":
            self.guarded(producer.abort_transaction)
        if transaction == "open":
            self.open.append(producer)
        else:
            producer.close()
        return [[place.partition, place.offset] for place in found]

    def send(self, producer, topic, record):
        headers = [(name, decoded(value)) for name, value in record.get("headers") or []]
        return self.guarded(
            producer.send,
            topic,
            decoded(record.get("value")),
            decoded(record.get("key")),
            headers,
            record.get("partition"),
            record.get("timestamp"),
        )

    def send_offsets(self, producer, group, topic, partition, offset):
        from kafka import OffsetAndMetadata, TopicPartition

        place = {TopicPartition(topic, partition): OffsetAndMetadata(offset)}
        self.guarded(producer.send_offsets_to_transaction, place, group)

    def consume(self, topic, config=None):
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(**self.config({"fetch.max.wait.ms": "20", **(config or {})}))
        partitions = [TopicPartition(topic, one["partition"]) for one in self.describe_topic(topic)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = self.guarded(consumer.end_offsets, partitions)
        records, deadline = [], time.monotonic() + PATIENCE
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            if time.monotonic() > deadline:
                raise RuntimeError("the end was not reached")
            for found in self.guarded(consumer.poll, 500).values():
                records += map(self.record, found)
        consumer.close(autocommit=False)
        return records

    @staticmethod
    def record(record):
        return {
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": encoded(record.key),
            "value": encoded(record.value),
            "headers": [[name, encoded(value)] for name, value in record.headers or []],
        }

    def list_groups(self):
        return sorted(group["group_id"] for group in self.guarded(self.admin.list_groups))

    def describe_group(self, group):
        found = self.guarded(self.admin.describe_groups, [group])[group]
        if found["error"]:
            raise Failed(found["error"], -1)
        members = []
        for member in found["members"]:
            assigned = (member["member_assignment"] or {}).get("assigned_partitions") or []
            members.append(
                {
                    "member_id": member["member_id"],
                    "client_id": member["client_id"],
                    "instance_id": member["group_instance_id"],
                    "partitions": sorted(
                        partition_key(one["topic"], partition) for one in assigned for partition in one["partitions"]
                    ),
                }
            )
        return {"state": found["group_state"], "assignor": found["protocol_data"], "members": members}

    def committed(self, group, topic=None):
        found = self.guarded(self.admin.list_group_offsets, group)[group]
        return {partition_key(*partition): committed.offset for partition, committed in found.items()}

    def set_committed(self, group, topic, partition, offset):
        from kafka import OffsetAndMetadata, TopicPartition

        asked = {TopicPartition(topic, partition): OffsetAndMetadata(offset)}
        for error in self.guarded(self.admin.alter_group_offsets, group, asked).values():
            self.check(error)

    def delete_offsets(self, group, topic, partition):
        from kafka import TopicPartition

        for error in self.guarded(self.admin.delete_group_offsets, group, [TopicPartition(topic, partition)]).values():
            self.check(error)

    def delete_group(self, group):
        from kafka import errors

        answer = self.guarded(self.admin.delete_groups, [group])[group]
        if answer != "OK":
            self.check(getattr(errors, answer))

    def member(self, topic, stopped, count, show):
        from kafka import ConsumerRebalanceListener, KafkaConsumer

        class Listener(ConsumerRebalanceListener):
            def on_partitions_assigned(self, assigned):
                show("assigned", [partition.partition for partition in assigned])

            def on_partitions_revoked(self, revoked):
                show("revoked", [partition.partition for partition in revoked])

        consumer = KafkaConsumer(**self.config({}))
        consumer.subscribe([topic], listener=Listener())
        while count != 0 and not stopped.set:
            # A poll that ends while the group is being joined loses the answer (3.0.12), so it is given more time than
            # that takes.
            most = min(count, 500) if count > 0 else 500
            for records in consumer.poll(3000, max_records=most).values():
                for record in records:
                    yield record.partition, record.value
                    count -= 1
        consumer.close()


def serve(client, lines, out):
    """Answers each line of `lines`."""
    for line in lines:
        request = json.loads(line)
        name = request.pop("do")
        try:
            answer = {"ok": getattr(client, name)(**request)}
        except Failed as failed:
            answer = {"error": str(failed), "code": failed.code}
        except Exception as error:  # Whatever it is, the test that asked is to show it.
            answer = {"error": repr(error), "code": None}
        print(json.dumps(answer), file=out, flush=True)


def follow(client, topic, count, out):
    """Prints what a member of a group reads."""
    stopped = Stopped()

    def show(what, partitions):
        print(what, *sorted(partitions), file=sys.stderr, flush=True)

    for partition, value in client.member(topic, stopped, count, show):
        out.buffer.write(b"%d %s\n" % (partition, value or b""))
        out.flush()


def main():
    library, mode, *rest = sys.argv[1:]
    settings = dict(arg.split("=", 1) for arg in rest if "=" in arg)
    count = int(settings.pop("count", -1))
    client = {"confluent": Confluent, "kafka_python": KafkaPython}[library](settings)
    out, sys.stdout = sys.stdout, sys.stderr
    if mode == "serve":
        serve(client, sys.stdin, out)
    else:
        follow(client, rest[0], count, out)


main()
