"""Drives kafka-python."""
import time

import kafka
from kafka import admin as ad

import proto
from proto import emit, stopped


def produce(r):
    conf = {"bootstrap_servers": r["addr"], "compression_type": None if r["compression"] == "none" else r["compression"], "linger_ms": 5}
    if r["mode"] == "ordinary":
        conf.update(acks="all", enable_idempotence=False)
    if r["mode"] == "idempotent":
        conf["enable_idempotence"] = True
    p = kafka.KafkaProducer(**conf)
    sent = [(i, p.send(r["topic"], value=proto.value(i), key=proto.key(i), headers=[("n", str(i).encode())], partition=r["partition"], timestamp_ms=r["time"] + i * 1000))
            for i in range(r["first"], r["first"] + r["count"])]
    for i, f in sent:
        emit("acked", index=i, offset=f.get(30).offset)
    p.close()


def consumer(r):
    return kafka.KafkaConsumer(bootstrap_servers=r["addr"], group_id=r.get("group"), auto_offset_reset="earliest", enable_auto_commit=False,
                               heartbeat_interval_ms=500, session_timeout_ms=10000, fetch_max_wait_ms=100)


def say(m):
    proto.record(m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)


def consume(r):
    c = consumer(r)
    tp = kafka.TopicPartition(r["topic"], r["partition"])
    c.assign([tp])
    c.seek(tp, c.offsets_for_times({tp: r["time"]})[tp].offset if r.get("op") == "time" else r["offset"])
    deadline, n = time.time() + 30, 0
    while n < r["count"]:
        if time.time() > deadline:
            raise TimeoutError("not enough records in 30 s")
        for batch in c.poll(timeout_ms=200).values():
            for m in batch:
                say(m)
                n += 1
    c.close()


class Listener(kafka.ConsumerRebalanceListener):
    def __init__(self, consumer):
        self.consumer = consumer

    def on_partitions_revoked(self, revoked):
        emit("assigned", partitions=[p.partition for p in self.consumer.assignment() - set(revoked)])

    def on_partitions_assigned(self, assigned):
        emit("assigned", partitions=[p.partition for p in self.consumer.assignment()])


def group(r):
    c = consumer(r)
    c.subscribe([r["topic"]], listener=Listener(c))
    while not stopped.is_set():
        got = [m for batch in c.poll(timeout_ms=200).values() for m in batch]
        for m in got:
            say(m)
        if got:
            c.commit()
            emit("committed")
    c.close()


def admin(r):
    a = kafka.KafkaAdminClient(bootstrap_servers=r["addr"])
    op, topic, name = r["op"], r.get("topic"), r.get("group")
    tp = kafka.TopicPartition(topic, r["partition"]) if topic else None
    out = ""
    if op == "create-topic":
        a.create_topics([ad.NewTopic(topic, r["partitions"], 1)])
    elif op == "describe-topic":
        out = len(a.describe_topics([topic])[0]["partitions"])
    elif op == "add-partitions":
        a.create_partitions({topic: ad.NewPartitions(r["partitions"])})
    elif op == "alter-config":
        a.alter_configs([ad.ConfigResource(ad.ConfigResourceType.TOPIC, topic, {"retention.ms": r["value"]})])
    elif op == "describe-config":
        out = find(a.describe_configs([ad.ConfigResource(ad.ConfigResourceType.TOPIC, topic)]), "retention.ms")
    elif op == "list-offsets":
        out = kafka.KafkaConsumer(bootstrap_servers=r["addr"]).end_offsets([tp])[tp]
    elif op == "delete-topic":
        a.delete_topics([topic])
    elif op == "list-groups":
        out = name in str(a.list_groups())
    elif op == "describe-group":
        out = find(a.describe_groups([name]), "group_state")
    elif op == "group-offsets":
        out = a.list_group_offsets([name])[name][tp].offset
    elif op == "delete-group":
        a.delete_groups([name])
    else:
        raise proto.Unsupported(op)
    a.close()
    emit("value", value=str(out))


def find(tree, name):
    """The first value called name in whatever the client returned."""
    if isinstance(tree, dict):
        if name in tree:
            v = tree[name]
            return v["value"] if isinstance(v, dict) and "value" in v else v
        if tree.get("name") == name:
            return tree.get("value")
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        for t in tree:
            if (v := find(t, name)) is not None:
                return v
    return None


def survive(r):
    p = kafka.KafkaProducer(bootstrap_servers=r["addr"])
    i = 0
    while not stopped.is_set():
        try:
            f = p.send(r["topic"], str(i).encode())
            f.add_callback(lambda _, n=i: emit("acked", index=n))
            f.add_errback(lambda e, n=i: emit("failed", index=n, error=str(e)))
        except Exception as e:
            emit("failed", index=i, error=str(e))
        i += 1
        time.sleep(0.002)
    p.flush(60)
    p.close()


proto.main({"info": lambda r: emit("info", value=kafka.__version__), "produce": produce, "consume": consume, "group": group, "admin": admin, "survive": survive})
